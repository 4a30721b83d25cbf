/**
 * Where the build put the compiled kernels and the worker: beside this module, or in `dist` when the sources run
 * uncompiled (tests).
 */
export function builtFile(name: string): URL {
  const here = new URL(name, import.meta.url);
  return new URL(here.href.replace(/\/src\/kernels\/([^/]*)$/, '/dist/kernels/$1'));
}
