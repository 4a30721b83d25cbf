// Puts the modules of the command line, of the worker threads and of the runtime's child process together into a few
// files in dist/bundle: loading a module costs a millisecond, and a run would load 50 to 130 of them.
// CommonJS, because Node starts it 5 ms sooner than modules.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
const output = path.join(root, 'dist', 'bundle');
const source = (/** @type {string} */ name) => path.join(root, 'src', `${name}.ts`);

/**
 * Modules that are loaded together, with all that they import. A module goes to the first group that reaches it:
 * what every run needs, and `inspect` of a safetensors file, is `start`.
 */
const GROUPS = {
  start: [
    'cli/main',
    'cli/commands/inspect',
    'cli/render/inspect',
    'operations/inspect',
    'formats/safetensors/reader',
    'io/cursor',
    'io/memory',
  ],
  zip: ['io/zip/directory', 'io/verified', 'kernels/strided'],
  pytorch: ['formats/pytorch/reader'],
  npz: ['formats/npz/npz-reader', 'formats/npz/npy-reader'],
  onnx: ['formats/onnx/reader'],
  shared: ['io/hashing', 'kernels/wasm', 'kernels/messages'],
  mlck: ['formats/mlck/reader'],
  workers: ['kernels/start-workers'],
  // What reads tensor data: hashes, statistics, comparisons, conversions.
  kernels: ['kernels/transfer', 'kernels/statistics', 'kernels/compare', 'kernels/cast'],
  write: ['operations/convert', 'operations/diff', 'operations/validate', 'operations/meta'],
};

/** Packages that are taken in: small, and many files. The others are loaded by the first thing that needs them. */
const TAKEN = ['commander', 'protobufjs', 'long'];
const inPackage = (/** @type {string} */ file, /** @type {string} */ name) =>
  file.includes(`${path.sep}node_modules${path.sep}${name}${path.sep}`);
const external = (/** @type {string} */ id, /** @type {string | undefined} */ from) =>
  !/^[.\0]/.test(id) &&
  !path.isAbsolute(id) &&
  !TAKEN.some((name) => id.split('/')[0] === name || (from !== undefined && inPackage(from, name)));

/** @type {import('rolldown').Plugin} */
const builtins = {
  name: 'builtins',
  resolveId: {
    order: 'pre',
    handler(id, from) {
      if (!from || !TAKEN.some((name) => inPackage(from, name)) || !id.startsWith('node:')) return null;
      // commander needs it only for sub-commands that are programs of their own, which we have none of: 3 ms.
      return id === 'node:child_process' ? '\0nothing' : { id, external: true };
    },
  },
  load: (id) => (id === '\0nothing' ? 'export default {};' : null),
};

/** The notices that the licences of these packages ask for. */
const notices = (/** @type {readonly string[]} */ files) =>
  TAKEN.filter((name) => files.some((file) => inPackage(file, name)))
    .map((name) => fs.readFileSync(path.join(root, 'node_modules', name, 'LICENSE'), 'utf8').trim())
    .map((text) => `/*!\n${text}\n*/`)
    .join('\n');

/** One file that is complete, or, with groups, a file each and what is left in files of its own. */
async function bundle(/** @type {string} */ name, /** @type {string} */ entry, grouped = false) {
  const build = await rolldown({
    input: { [name]: source(entry) },
    platform: 'node',
    external,
    plugins: [builtins],
    onLog: (level, log) => {
      if (level === 'warn' && log.code !== 'INEFFECTIVE_DYNAMIC_IMPORT') console.warn(log.message);
    },
  });
  const names = Object.entries(GROUPS);
  const { output: files } = await build.generate({
    format: 'cjs',
    entryFileNames: '[name].cjs',
    chunkFileNames: '[name].cjs',
    sourcemap: true,
    sourcemapExcludeSources: true,
    comments: { legal: true, annotation: false, jsdoc: false },
    minifyInternalExports: false,
    dynamicImportInCjs: true,
    banner: (chunk) => notices(chunk.moduleIds),
    codeSplitting: grouped && {
      groups: names.map(([group, modules], index) => ({
        name: group,
        priority: names.length - index,
        test: (/** @type {string} */ id) => modules.some((module) => id === source(module)),
      })),
    },
  });
  for (const file of files) put(file.fileName, file.type === 'chunk' ? file.code : file.source);
  const start = files.find((file) => file.name === 'start');
  if (grouped && !(start?.type === 'chunk' && start.exports.includes('main')))
    throw new Error('start.cjs does not export main, which bin/mlser.js calls');
}

/** Written beside and renamed, so that a run at the same time never sees half a file. */
function put(/** @type {string} */ name, /** @type {string | Uint8Array} */ content) {
  const file = path.join(output, name);
  if (fs.existsSync(file) && fs.readFileSync(file).equals(Buffer.from(content))) return;
  const fresh = `${file}.${process.pid}.tmp`;
  fs.writeFileSync(fresh, content);
  fs.renameSync(fresh, file);
}

fs.mkdirSync(output, { recursive: true });
await bundle('mlser', 'cli/main', true);
await bundle('worker', 'kernels/worker');
await bundle('child', 'runtime/child');
await bundle('codec', 'formats/mlck/codecs/worker');
await bundle('factor', 'kernels/factor/worker');
