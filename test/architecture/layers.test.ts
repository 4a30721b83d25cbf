import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

/** Lowest first. A file may import from its own layer and from lower ones. */
const LAYERS = [
  'errors',
  'io',
  'core',
  'kernels',
  'formats',
  'transforms',
  'runtime',
  'validate',
  'operations',
  'cli',
] as const;
/** formats and graph share a level. */
const SAME_LEVEL = new Map([['graph', 'formats']]);

const src = path.resolve('src');
const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !file.startsWith(path.join('kernels', 'assembly')))
  .map((file) => file.split(path.sep).join('/'));

const layerOf = (file: string): string => {
  const [first = ''] = file.replace(/\.ts$/, '').split('/');
  return SAME_LEVEL.get(first) ?? first;
};
const rank = (file: string): number => (LAYERS as readonly string[]).indexOf(layerOf(file));

/** Imports of other files of the project, types included; `import()` too. */
function importsOf(file: string): { target: string; typeOnly: boolean }[] {
  const text = readFileSync(path.join(src, file), 'utf8');
  const found = [
    ...text.matchAll(/(import|export)\s+(type\s)?[^;]*?from\s+'(\.[^']+)'|import\(\s*'(\.[^']+)'\s*\)/g),
  ];
  return found.map((match) => ({
    target: path.posix.join(path.posix.dirname(file), match[3] ?? match[4] ?? '').replace(/\.js$/, '.ts'),
    typeOnly: match[2] !== undefined,
  }));
}
const textOf = (file: string): string => readFileSync(path.join(src, file), 'utf8');

describe('layers', () => {
  it('knows every folder of src', () => {
    const unknown = files.filter((file) => rank(file) < 0 && file !== 'index.ts');
    expect(unknown).toEqual([]);
  });

  it('never imports a higher layer', () => {
    const broken = files
      .filter((file) => file !== 'index.ts')
      .flatMap((file) =>
        importsOf(file)
          .filter(({ target, typeOnly }) => {
            // io types may speak of core types and back: types leave no trace at run time.
            if (typeOnly && rank(target) <= rank('core.ts') && rank(file) <= rank('core.ts')) return false;
            return rank(target) > rank(file);
          })
          .map(({ target }) => `${file} imports ${target}`),
      );
    expect(broken).toEqual([]);
  });

  it('keeps formats apart', () => {
    const folder = (file: string): string | undefined => /^formats\/([^/]+)\//.exec(file)?.[1];
    const broken = files.flatMap((file) =>
      importsOf(file)
        .filter(({ target }) => folder(file) && folder(target) && folder(file) !== folder(target))
        .map(({ target }) => `${file} imports ${target}`),
    );
    expect(broken).toEqual([]);
  });

  it('touches the file system only in io and cli', () => {
    const broken = files.filter(
      (file) => /from 'node:fs(\/promises)?'/.test(textOf(file)) && !/^(io|cli)\//.test(file),
    );
    expect(broken).toEqual([]);
  });

  it('names onnxruntime-node only in runtime', () => {
    const broken = files.filter(
      (file) => /['"]onnxruntime-node['"]/.test(textOf(file)) && !file.startsWith('runtime/'),
    );
    expect(broken).toEqual([]);
  });

  it('starts without heavy dependencies: none is reached from the command line by static imports', () => {
    const heavy =
      /^import (?!type\b)[^;]*from '(onnxruntime-node|protobufjs[^']*|@foxglove\/wasm-zstd|fflate|ora|@huggingface\/jinja)'/m;
    const reached = new Set<string>();
    const walk = (file: string): void => {
      if (reached.has(file)) return;
      reached.add(file);
      const statics = [...textOf(file).matchAll(/^(?:import|export) (?!type\b)[^;]*?from '(\.[^']+)'/gm)];
      for (const match of statics)
        walk(path.posix.join(path.posix.dirname(file), match[1] ?? '').replace(/\.js$/, '.ts'));
    };
    walk('cli/main.ts');
    expect(reached.size).toBeGreaterThan(1);
    expect([...reached].filter((file) => heavy.test(textOf(file)))).toEqual([]);
  });
});
