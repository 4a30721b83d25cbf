/**
 * Where the build put `kernels/kernels.wasm`, `bundle/worker.cjs`, …: in `dist`, whose folders this module (or the
 * bundle that it is part of) and the sources, when they run uncompiled in tests, lie beside.
 */
export function builtFile(name: string): URL {
  const here = new URL(`../${name}`, import.meta.url);
  return new URL(here.href.replace(/\/src\/([^/]+\/[^/]+)$/, '/dist/$1'));
}
