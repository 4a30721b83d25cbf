// npm run bench:prune: `mlser prune` beside torch, written to test/bench/RESULTS.md.
//   MLSER_BENCH_DIR     where the generated model goes (1.3 GB, and outputs; default: a temporary folder)
//   MLSER_BENCH_PYTHON  a Python with torch and safetensors: without it the peer's columns are left out
//   MLSER_BENCH_RUNS    runs a command on the large model, interleaved (default 3)
// --small: only the trained classifiers.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { compare } from './measure.js';
import { writeSafetensors } from './model.js';
import { replaceSection } from './results.js';

const here = path.dirname(fileURLToPath(import.meta.url));
const cli = path.resolve(here, '../../bin/mlser.js');
const dir = process.env.MLSER_BENCH_DIR ?? fs.mkdtempSync(path.join(os.tmpdir(), 'mlser-bench-'));
const python = process.env.MLSER_BENCH_PYTHON;
const runs = Number(process.env.MLSER_BENCH_RUNS ?? 3);
const at = (name) => path.join(dir, name);
const peer = (...args) => `${python} ${path.join(here, 'peers/prune.py')} ${args.join(' ')}`;
const mlser = (...args) => `${process.execPath} ${cli} ${args.join(' ')}`;
const json = (...args) =>
  JSON.parse(
    execFileSync(process.execPath, [cli, ...args, '--json'], { encoding: 'utf8', maxBuffer: 1 << 28 }),
  );
const sizeOf = (file) => fs.statSync(file).size;
const remove = (name) => {
  for (const file of fs.readdirSync(dir)) if (file.startsWith(name)) fs.rmSync(at(file));
};

function largeModel() {
  const model = at('m.safetensors');
  if (!fs.existsSync(model)) {
    console.error('making the model');
    writeSafetensors(model);
  }
  return model;
}

/** What the large model is pruned by, the peer's jobs for the same, and whether `.mlck` is written too. */
const LARGE = [
  ['magnitude, half of all weights', ['--sparsity', '0.5'], ['global', 'global-lean']],
  ['magnitude, half of each weight', ['--sparsity', '0.5', '--scope', 'tensor'], []],
  ['threshold', ['--method', 'threshold', '--threshold', '0.01'], []],
  ['2 of 4', ['--method', 'n:m', '--pattern', '2:4'], ['2:4']],
];

function large() {
  const model = largeModel();
  const commands = LARGE.flatMap(([title, args, jobs]) => {
    const before = () => remove('pruned.');
    const ours = (name, ext, ...more) => ({
      name: `${title}${name}`,
      command: mlser('prune', model, at(`pruned.${ext}`), ...args, ...more),
      before,
    });
    return [
      ours('', 'safetensors', '--validate structure', '--no-sync'),
      ours(' gate', 'safetensors'),
      ours(' mlck', 'mlck', '--validate structure', '--no-sync'),
      ...(python
        ? jobs.map((job) => ({
            name: `${title} ${job}`,
            command: peer(job, model, at('pruned.safetensors'), '0.5'),
            before,
          }))
        : []),
    ];
  });
  const found = compare(commands, runs);
  remove('pruned.');
  const cell = (result) => (result ? `${result.wall.toFixed(2)} s, ${Math.round(result.rss)} MB` : '–');
  const rows = LARGE.flatMap(([title, , jobs]) => {
    const own = ['', ' gate', ' mlck'].map((suffix) => cell(found.get(`${title}${suffix}`)));
    const peers = python && jobs.length > 0 ? jobs : [undefined];
    return peers.map((job) => {
      const theirs = job && found.get(`${title} ${job}`);
      const faster = theirs ? `${(theirs.wall / found.get(title).wall).toFixed(1)} ×` : '–';
      const name = job === undefined ? '–' : `${PEERS[job]}: ${cell(theirs)}`;
      return `| ${title} | ${name} | ${own[0]} | ${faster} | ${own[1]} | ${own[2]} |`;
    });
  });
  return [
    '### safetensors of 1.34 GB (BERT-large shapes, 303 M weights in 145 matrices that are pruned)',
    '',
    'Wall time and peak memory of the largest process; `structure`: `--validate structure --no-sync`, not waiting for the disk, as',
    'the peer does not; `gate`: waiting for it, every byte read back and computed by the runtime too. `kthvalue`: lines written',
    'for the fewest copies, as nothing in torch.nn.utils.prune does.',
    '',
    '| what | torch | mlser, structure | faster | mlser, gate | to .mlck, structure |',
    '|---|--:|--:|--:|--:|--:|',
    ...rows,
    '',
    ...packed(model),
  ];
}

const PEERS = { global: 'global_unstructured', 'global-lean': 'kthvalue', '2:4': 'topk' };

/** What zeros save in the native format, beside the weights as they were. */
function packed(model) {
  const sparse = at('pruned.mlck');
  const rows = [0.5, 0.7, 0.9].map((sparsity) => {
    remove('pruned.');
    json('prune', model, sparse, '--sparsity', String(sparsity), '--validate', 'structure', '--no-sync');
    const size = sizeOf(sparse);
    return `| ${100 * sparsity} % | ${(size / 1e6).toFixed(1)} MB | ${(sizeOf(model) / size).toFixed(2)} × |`;
  });
  remove('pruned.');
  return ['| zeros | .mlck | smaller than dense |', '|--:|--:|--:|', ...rows, ''];
}

/** What the classifiers are pruned by. */
const SMALL = [
  ['magnitude', ['--sparsity', '0.3']],
  ['magnitude', ['--sparsity', '0.5']],
  ['magnitude', ['--sparsity', '0.7']],
  ['magnitude', ['--sparsity', '0.8']],
  ['magnitude', ['--sparsity', '0.5', '--scope', 'tensor']],
  ['n:m', ['--pattern', '2:4']],
  ['low-rank', ['--energy', '0.98']],
  ['low-rank', ['--energy', '0.95']],
  ['low-rank', ['--energy', '0.9']],
  ['channels', ['--sparsity', '0.3']],
  ['channels', ['--sparsity', '0.5']],
  ['channels', ['--sparsity', '0.3', '--calibration']],
  ['channels', ['--sparsity', '0.5', '--calibration']],
];

/** Samples a run, where the time is that of the numbers and not of the calls. */
const BATCHES = [64, 256];

/** What every run costs, whatever is computed: a graph with the input of the classifiers that hands on ten of its numbers. */
async function writeCall() {
  const { encodeModel } = await import('../../dist/graph/build.js');
  const raw = (value) => new Uint8Array(new BigInt64Array([BigInt(value)]).buffer);
  const bound = (name, value) => ({ name, dtype: 'i64', shape: [1], raw: raw(value) });
  const bytes = await encodeModel({
    opset: 17,
    nodes: [
      { op: 'Flatten', inputs: ['x'], outputs: ['flat'] },
      { op: 'Slice', inputs: ['flat', 'first', 'last', 'axis'], outputs: ['logits'] },
    ],
    inputs: [{ name: 'x', dtype: 'f32', shape: ['n', 1, 8, 8] }],
    outputs: [{ name: 'logits', dtype: 'f32', shape: ['n', 10] }],
    initializers: [bound('first', 0), bound('last', 10), bound('axis', 1)],
  });
  fs.writeFileSync(at('call.onnx'), bytes);
  return at('call.onnx');
}

/** The share of zeros, or of channels that are gone. */
const goneOf = ({ method, sparsity, channels }) =>
  channels
    ? `${channels.before - channels.after} of ${channels.before} channels`
    : method === 'low-rank'
      ? '–'
      : `${(100 * sparsity).toFixed(1)} %`;

/** Methods that this build has. */
const METHODS = execFileSync(process.execPath, [cli, 'prune', '--help'], { encoding: 'utf8' });

async function small(name) {
  const folder = path.resolve(here, '../../fixtures/trained', name);
  const source = path.join(folder, 'model.onnx');
  const weights = path.join(folder, 'model.safetensors');
  const test = path.join(folder, 'test.npz');
  const proof = ['--inputs', test, '--labels', 'y', '--tolerance', '1e9', '--force'];
  const models = { source, call: await writeCall() };
  const rows = SMALL.filter(([method]) => METHODS.includes(method)).map(([method, args], i) => {
    const graph = at(`z${i}.onnx`);
    const samples = args.includes('--calibration') ? [path.join(folder, 'calib.npz')] : [];
    const how = ['--method', method, ...args, ...samples];
    const made = json('prune', source, graph, ...how, ...proof);
    models[`z${i}`] = graph;
    const zeros = !['low-rank', 'channels'].includes(method);
    if (zeros) json('prune', weights, at('z.mlck'), ...how, '--force');
    return { title: [method, ...args].join(' '), i, made, packed: zeros ? sizeOf(at('z.mlck')) : undefined };
  });
  const latencyOf = (request) =>
    JSON.parse(
      execFileSync(
        process.execPath,
        [path.join(here, 'latency.js'), JSON.stringify({ feeds: test, models, runs: 400, ...request })],
        { encoding: 'utf8' },
      ),
    );
  const latency = latencyOf({ batch: 1 });
  const batched = BATCHES.map((batch) => latencyOf({ batch }));
  const dense = sizeOf(weights);
  const points = (accuracy) => `${(100 * accuracy).toFixed(1)} %`;
  const before = points(rows[0].made.validation.accuracy.before);
  const lines = rows.map(({ title, i, made, packed: bytes }) => {
    const cosine = made.validation.run.outputs[0]?.cosine ?? Number.NaN;
    return `| ${[
      title,
      goneOf(made.prune),
      points(made.validation.accuracy.after),
      (1 - cosine).toExponential(1),
      `${(made.bytesOut / 1000).toFixed(1)} kB`,
      `${latency[`z${i}`].toFixed(4)} ms`,
      `${((latency[`z${i}`] - latency.call) / (latency.source - latency.call)).toFixed(2)} ×`,
      ...batched.map((times) => `${(times[`z${i}`] / times.source).toFixed(2)} ×`),
      bytes === undefined ? '–' : `${(bytes / 1000).toFixed(1)} kB`,
      bytes === undefined ? '–' : `${(dense / bytes).toFixed(2)} ×`,
    ].join(' | ')} |`;
  });
  remove('z');
  return [
    `### ${name}: ONNX ${(sizeOf(source) / 1000).toFixed(1)} kB, safetensors ${(dense / 1000).toFixed(1)} kB, ${before}, ${latency.source.toFixed(4)} ms a run, of which ${latency.call.toFixed(4)} ms are the call`,
    '',
    `| method | gone | accuracy | 1 − cosine | ONNX | latency | without the call | ${BATCHES.map((n) => `batch of ${n}`).join(' | ')} | .mlck | smaller than dense |`,
    `|---|--:|--:|--:|--:|--:|--:|${BATCHES.map(() => '--:|').join('')}--:|--:|`,
    ...lines,
    '',
  ];
}

const note = `${os.cpus()[0]?.model ?? ''}, ${os.cpus().length} cores, Node ${process.version}; medians of ${runs} interleaved runs on
the large model; latencies are medians of 400 runs of one sample on one thread, all models in turn; without what a graph takes that
only hands on ten numbers of the same input, and of batches, as a share of the source's. 500 real test images.`;
const parts = process.argv.includes('--small') ? [] : large();
const text = [note, '', ...parts, ...(await small('digits_cnn')), ...(await small('digits_mlp'))].join('\n');
replaceSection('prune', text);
console.log(text);
