// Compiles the AssemblyScript SIMD kernels to dist/kernels/kernels.wasm, unless that is newer than its sources.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const sources = path.join(here, 'assembly');
const root = path.join(here, '..', '..');
const output = path.join(root, 'dist', 'kernels', 'kernels.wasm');

const modified = (/** @type {string} */ file) => fs.statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
const inputs = fs.readdirSync(sources).map((name) => path.join(sources, name));
const newest = Math.max(...[...inputs, fileURLToPath(import.meta.url)].map(modified));

if (modified(output) < newest) {
  fs.mkdirSync(path.dirname(output), { recursive: true });
  const asc = path.join(
    path.dirname(createRequire(import.meta.url).resolve('assemblyscript/package.json')),
    'bin',
    'asc.js',
  );
  // Written beside and renamed, so that a build that runs at the same time never sees half a module.
  const fresh = `${output}.${process.pid}.tmp`;
  const args = [
    asc,
    path.join('src', 'kernels', 'assembly', 'index.ts'),
    ...['-O3', '--noAssert', '--runtime', 'stub', '--enable', 'simd', '--importMemory'],
    ...['--outFile', path.relative(root, fresh)],
  ];
  execFileSync(process.execPath, args, { stdio: 'inherit', cwd: root });
  fs.renameSync(fresh, output);
}
