// npm run bench: measures mlser beside its peers on a generated model of 1.34 GB and writes test/bench/RESULTS.md.
//   MLSER_BENCH_DIR     where the models go (about 12 GB; default: a temporary folder)
//   MLSER_BENCH_PYTHON  a Python with torch, safetensors, onnx and numpy: without it the peers' rows are left out
//   MLSER_BENCH_RUNS    runs a command, interleaved (default 5)
//   node test/bench/run.js [group…]   only some groups
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { compare } from './measure.js';
import { encoderGraph, writeSafetensors } from './model.js';
import { replaceSection } from './results.js';

const here = path.dirname(fileURLToPath(import.meta.url));
const mlser = `node ${path.resolve(here, '../../bin/mlser.js')}`;
const dir = process.env.MLSER_BENCH_DIR ?? fs.mkdtempSync(path.join(os.tmpdir(), 'mlser-bench-'));
const python = process.env.MLSER_BENCH_PYTHON;
const runs = Number(process.env.MLSER_BENCH_RUNS ?? 5);
const at = (name) => path.join(dir, name);
const peer = (job, ...args) => `${python} ${path.join(here, 'peers/peers.py')} ${job} ${args.join(' ')}`;
const run = (command) => execFileSync('bash', ['-c', command], { stdio: ['ignore', 'ignore', 'inherit'] });
const remove =
  (...names) =>
  () => {
    for (const name of names) fs.rmSync(at(name), { force: true });
  };

/** Models, made once: 24 layers (1.34 GB) in every format, and 72 layers (3.8 GB) for the memory rows. */
async function prepare() {
  fs.mkdirSync(dir, { recursive: true });
  const make = async (name, work) => {
    if (fs.existsSync(at(name))) return;
    console.error(`making ${name}`);
    await work();
  };
  await make('m.safetensors', () => writeSafetensors(at('m.safetensors')));
  await make('m.pt', () => run(`${mlser} convert ${at('m.safetensors')} ${at('m.pt')} --validate structure`));
  await make('m.npz', () =>
    run(`${mlser} convert ${at('m.safetensors')} ${at('m.npz')} --validate structure`),
  );
  await make('m.mlck', () =>
    run(`${mlser} convert ${at('m.safetensors')} ${at('m.mlck')} --validate structure`),
  );
  await make('m.onnx', async () => {
    const weights = writeSafetensors(at('graph.safetensors'));
    fs.writeFileSync(at('graph.onnx'), await encoderGraph(weights, 'graph.safetensors'));
    run(`${mlser} convert ${at('graph.onnx')} ${at('m.onnx')} --validate structure`);
    fs.rmSync(at('graph.safetensors'));
    fs.rmSync(at('graph.onnx'));
  });
  await make('big.safetensors', () => writeSafetensors(at('big.safetensors'), 72));
  await make('big.pt', () =>
    run(`${mlser} convert ${at('big.safetensors')} ${at('big.pt')} --validate structure`),
  );
}

const ours = (name, args, out) => ({
  name: `mlser ${name}`,
  command: `${mlser} ${args}`,
  ...(out ? { before: remove(out, `${out}.data`) } : {}),
});
const theirs = (name, job, src, out) =>
  python
    ? [
        {
          name,
          command: peer(job, at(src), ...(out ? [at(out)] : [])),
          ...(out ? { before: remove(out, `${out}.data`) } : {}),
        },
      ]
    : [];
const cp = (src) => ({
  name: `cp ${src}`,
  command: `cp ${at(src)} ${at('copy.bin')}`,
  before: remove('copy.bin'),
});
const cpSync = (src) => ({
  name: `cp ${src} && sync`,
  command: `cp ${at(src)} ${at('copy.bin')} && sync ${at('copy.bin')}`,
  before: remove('copy.bin'),
});
const convert = (label, src, out, flags) => ours(label, `convert ${at(src)} ${at(out)} ${flags}`, out);

const GROUPS = {
  inspect: () => ({
    title: 'Say what is inside (1.34 GB)',
    rows: [
      { name: 'node -e 0', command: 'node -e 0' },
      ...['safetensors', 'pt', 'onnx', 'npz', 'mlck'].map((f) =>
        ours(`inspect m.${f}`, `inspect ${at(`m.${f}`)}`),
      ),
      ours('inspect big.safetensors (3.8 GB)', `inspect ${at('big.safetensors')}`),
      ...theirs('safetensors safe_open', 'inspect-safetensors', 'm.safetensors'),
      ...theirs('torch.load(mmap) m.pt', 'inspect-pt', 'm.pt'),
      ...theirs('onnx.load m.onnx', 'inspect-onnx', 'm.onnx'),
    ],
  }),
  stats: () => ({
    title: 'Statistics of every tensor',
    rows: [
      { name: 'cat', command: `cat ${at('m.safetensors')} > /dev/null` },
      ours('inspect --stats', `inspect ${at('m.safetensors')} --stats --json`),
      ours('inspect --stats (3.8 GB)', `inspect ${at('big.safetensors')} --stats --json`),
      ...theirs('torch min max mean std zeros finite', 'stats', 'm.safetensors'),
      ...theirs('torch, all that inspect tells', 'stats-same', 'm.safetensors'),
    ],
  }),
  checksum: () => ({
    title: 'SHA-256 (mlser: of the file and of every tensor; the others: one of the two)',
    rows: [
      ours('checksum', `checksum ${at('m.safetensors')} --json`),
      ours('inspect --hashes (tensors only)', `inspect ${at('m.safetensors')} --hashes --json`),
      ours('checksum (3.8 GB)', `checksum ${at('big.safetensors')} --json`),
      { name: 'openssl dgst -sha256', command: `openssl dgst -sha256 ${at('m.safetensors')}` },
      { name: 'sha256sum', command: `sha256sum ${at('m.safetensors')}` },
      ...theirs('safetensors + hashlib, per tensor', 'hash', 'm.safetensors'),
    ],
  }),
  convert: () => ({
    title: 'Convert, same types',
    rows: [
      cp('m.safetensors'),
      cpSync('m.safetensors'),
      convert(
        'pt → safetensors, structure, no sync',
        'm.pt',
        'o.safetensors',
        '--validate structure --no-sync',
      ),
      convert('pt → safetensors, structure', 'm.pt', 'o.safetensors', '--validate structure'),
      convert('pt → safetensors, whole gate', 'm.pt', 'o.safetensors', ''),
      ...theirs('torch pt → safetensors', 'pt-safetensors', 'm.pt', 'o.safetensors'),
      ...theirs('torch pt (mmap) → safetensors', 'pt-safetensors-mmap', 'm.pt', 'o.safetensors'),
      convert(
        'safetensors → pt, structure, no sync',
        'm.safetensors',
        'o.pt',
        '--validate structure --no-sync',
      ),
      convert('safetensors → pt, structure', 'm.safetensors', 'o.pt', '--validate structure'),
      convert('safetensors → pt, whole gate', 'm.safetensors', 'o.pt', ''),
      ...theirs('torch safetensors → pt', 'safetensors-pt', 'm.safetensors', 'o.pt'),
      convert('pt → safetensors (3.8 GB), structure', 'big.pt', 'o.safetensors', '--validate structure'),
      convert('pt → safetensors (3.8 GB), whole gate', 'big.pt', 'o.safetensors', ''),
    ],
  }),
  onnx: () => ({
    title: 'ONNX, one file to external data',
    rows: [
      cp('m.onnx'),
      cpSync('m.onnx'),
      convert(
        'one file → external, structure, no sync',
        'm.onnx',
        'o.onnx',
        '--external-data --validate structure --no-sync',
      ),
      convert('one file → external, structure', 'm.onnx', 'o.onnx', '--external-data --validate structure'),
      convert('one file → external, whole gate', 'm.onnx', 'o.onnx', '--external-data'),
      ...theirs('onnx one file → external', 'onnx-external', 'm.onnx', 'o.onnx'),
      convert('one file → one file, structure', 'm.onnx', 'o.onnx', '--validate structure'),
      ...theirs('onnx one file → one file', 'onnx-inline', 'm.onnx', 'o.onnx'),
    ],
  }),
  cast: () => ({
    title: 'Convert the type of a whole file',
    rows: [
      cp('m.safetensors'),
      convert(
        'f32 → bf16, structure, no sync',
        'm.safetensors',
        'o.safetensors',
        '--dtype bf16 --validate structure --no-sync',
      ),
      convert('f32 → bf16, structure', 'm.safetensors', 'o.safetensors', '--dtype bf16 --validate structure'),
      convert('f32 → bf16, whole gate', 'm.safetensors', 'o.safetensors', '--dtype bf16'),
      ...theirs('torch f32 → bf16', 'cast-bf16', 'm.safetensors', 'o.safetensors'),
      convert('f32 → f16, structure', 'm.safetensors', 'o.safetensors', '--dtype f16 --validate structure'),
      convert('f32 → f16, whole gate', 'm.safetensors', 'o.safetensors', '--dtype f16'),
      ...theirs('torch f32 → f16', 'cast-f16', 'm.safetensors', 'o.safetensors'),
      convert(
        'f32 → bf16 (3.8 GB), structure',
        'big.safetensors',
        'o.safetensors',
        '--dtype bf16 --validate structure',
      ),
    ],
  }),
  diff: () => ({
    title: 'Compare two equal files in two formats',
    rows: [
      { name: 'cat both', command: `cat ${at('m.safetensors')} ${at('m.pt')} > /dev/null` },
      ours('diff safetensors pt', `diff ${at('m.safetensors')} ${at('m.pt')} --json`),
      ...(python
        ? [
            {
              name: 'torch.equal of two safetensors',
              command: peer('equal', at('m.safetensors'), at('m.safetensors')),
            },
          ]
        : []),
    ],
  }),
};

const markdown = ({ title, rows }, results) => {
  const lines = rows.map(({ name }) => {
    const r = results.get(name);
    return `| ${name} | ${r.wall.toFixed(3)} | ${r.cpu.toFixed(3)} | ${Math.round(r.rss)} |`;
  });
  return [`### ${title}`, '', '| what | wall s | CPU s | peak MB |', '|---|--:|--:|--:|', ...lines, ''].join(
    '\n',
  );
};

await prepare();
const chosen = process.argv.slice(2).length ? process.argv.slice(2) : Object.keys(GROUPS);
const sections = chosen.map((group) => {
  console.error(`measuring ${group}`);
  const described = GROUPS[group]();
  return markdown(described, compare(described.rows, runs));
});
for (const name of fs.readdirSync(dir)) if (/^(o\.|copy)/.test(name)) fs.rmSync(at(name));
const text = [
  '<!-- measured by npm run bench -->',
  `${os.cpus()[0]?.model ?? 'unknown CPU'}, ${os.cpus().length} cores, Node ${process.version}; medians of ${runs} interleaved runs, page cache warm;`,
  'peak memory is that of the largest process. Compare ratios within a table, not seconds between machines.',
  '',
  ...sections,
].join('\n');
if (chosen.length === Object.keys(GROUPS).length) replaceSection('measured', text);
console.log(text);
if (!process.env.MLSER_BENCH_DIR) fs.rmSync(dir, { recursive: true, force: true });
