// npm run bench:optimize: `mlser optimize` beside onnxruntime's offline optimiser, written to test/bench/RESULTS.md.
//   MLSER_BENCH_DIR     where the models go (default: a temporary folder)
//   MLSER_BENCH_PYTHON  a Python with torch, transformers and onnx, which exports larger models (else: the fixtures alone)
//   MLSER_BENCH_RUNS    runs of each model that count (default 100)
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { replaceSection } from './results.js';

const here = path.dirname(fileURLToPath(import.meta.url));
const cli = path.resolve(here, '../../bin/mlser.js');
const dir = process.env.MLSER_BENCH_DIR ?? fs.mkdtempSync(path.join(os.tmpdir(), 'mlser-bench-'));
const python = process.env.MLSER_BENCH_PYTHON;
const runs = process.env.MLSER_BENCH_RUNS ?? '100';
const exported = path.join(dir, 'exported');

const json = (...args) =>
  JSON.parse(
    execFileSync(process.execPath, [cli, ...args, '--json'], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  );
/** What it says, or why it does not: a model that the runtime does not take is no row. */
const attempt = (work) => {
  try {
    return work();
  } catch {
    return undefined;
  }
};

if (python && !fs.existsSync(exported))
  execFileSync(python, [path.join(here, 'peers/export.py'), exported], { stdio: 'ignore' });
const folders = ['onnx', 'trained/digits_cnn', 'trained/digits_mlp', 'transformers'].map((name) =>
  path.resolve(here, '../../fixtures', name),
);
const below = (folder) =>
  fs.existsSync(folder)
    ? fs
        .readdirSync(folder, { recursive: true })
        .flatMap((name) => (String(name).endsWith('.onnx') ? [path.join(folder, String(name))] : []))
    : [];
const models = [exported, ...folders].flatMap((folder) => below(folder).sort());

const micro = (ms) => (ms < 1 ? `${(1000 * ms).toFixed(0)} µs` : `${ms.toFixed(2)} ms`);
/** Few runs have no interval. */
const verdict = (comparison) => {
  if (!comparison) return '–';
  const { ratio, interval } = comparison;
  return `${ratio.toFixed(3)}${interval ? ` (${interval.map((x) => x.toFixed(2)).join('–')})` : ''}`;
};

function row(model, at) {
  const [ours, theirs] = ['o', 'r'].map((name) => path.join(dir, `${name}${at}.onnx`));
  const made = attempt(() => json('optimize', model, ours, '--force'));
  if (!made) return undefined;
  const peer = attempt(() =>
    json('optimize', model, theirs, '--level', 'runtime', '--force', '--validate', 'none'),
  );
  const files = [model, ours, ...(peer ? [theirs] : [])];
  const bench = attempt(() => json('bench', ...files, '--runs', runs, '--warmup', '20'));
  for (const file of [ours, theirs]) fs.rmSync(file, { force: true });
  if (!bench) return undefined;
  const find = (file) => bench.comparisons.find((one) => one.path === file);
  const latency = bench.models[0]?.batches[0]?.latency.p50 ?? Number.NaN;
  const worst = Math.max(
    0,
    ...(made.validation.run?.outputs ?? []).map((one) => one.neededTolerance ?? Infinity),
  );
  return {
    model: path.basename(model) === 'model.onnx' ? path.basename(path.dirname(model)) : path.basename(model),
    nodes: `${made.optimize.nodesBefore} → ${made.optimize.nodesAfter}`,
    peerNodes: peer ? String(peer.optimize.nodesAfter) : '–',
    worst,
    latency,
    ours: find(ours),
    theirs: find(theirs),
  };
}

const rows = models.flatMap((model, at) => row(model, at) ?? []);
const slower = rows.filter(({ ours }) => ours?.verdict === 'slower');
const faster = rows.filter(({ ours }) => ours?.verdict === 'faster');
const text = [
  `${os.cpus()[0]?.model ?? ''}, ${os.cpus().length} cores, Node ${process.version}; \`mlser optimize\` (extended) and its \`--level runtime\`,`,
  'onnxruntime 1.30’s offline optimiser, each loaded and timed by `mlser bench` beside the input: median latency ÷ that of the',
  `input, with its interval of 95 %. ${rows.length} models that the runtime runs: ${faster.length} faster, ${slower.length} slower`,
  `beyond doubt${slower.length > 0 ? ` (${slower.map(({ model }) => model).join(', ')})` : ''}, the others no different. Largest tolerance that an output needed: ${Math.max(...rows.map(({ worst }) => worst)).toExponential(1)}.`,
  '',
  '| model | nodes | onnxruntime | needed tolerance | input | mlser ÷ input | onnxruntime ÷ input |',
  '|---|--:|--:|--:|--:|--:|--:|',
  ...rows.map(
    (one) =>
      `| ${one.model} | ${one.nodes} | ${one.peerNodes} | ${one.worst.toExponential(1)} | ${micro(one.latency)} | ${verdict(one.ours)} | ${verdict(one.theirs)} |`,
  ),
].join('\n');
replaceSection('optimize', text);
console.log(text);
