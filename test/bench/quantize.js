// npm run bench:quantize: `mlser quantize` beside onnxruntime's own quantizer, written to test/bench/RESULTS.md.
//   MLSER_BENCH_DIR     where the generated model goes (1.3 GB; default: a temporary folder)
//   MLSER_BENCH_PYTHON  a Python with onnxruntime 1.30, onnx, onnx_ir and numpy: without it the peer's columns are left out
//   MLSER_BENCH_RUNS    runs a command on the large model, interleaved (default 3)
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { compare, once } from './measure.js';
import { encoderGraph, writeSafetensors } from './model.js';
import { replaceSection } from './results.js';

const here = path.dirname(fileURLToPath(import.meta.url));
const cli = path.resolve(here, '../../bin/mlser.js');
const dir = process.env.MLSER_BENCH_DIR ?? fs.mkdtempSync(path.join(os.tmpdir(), 'mlser-bench-'));
const python = process.env.MLSER_BENCH_PYTHON;
const runs = Number(process.env.MLSER_BENCH_RUNS ?? 3);
const at = (name) => path.join(dir, name);
const peer = (job, ...files) => `${python} ${path.join(here, 'peers/quantize.py')} ${job} ${files.join(' ')}`;
const mlser = (...args) => `${process.execPath} ${cli} ${args.join(' ')}`;
const json = (...args) =>
  JSON.parse(
    execFileSync(process.execPath, [cli, ...args, '--json'], { encoding: 'utf8', maxBuffer: 1 << 28 }),
  );
const sizeOf = (file) => (fs.existsSync(file) ? fs.statSync(file).size : 0);
const remove = (name) => {
  for (const file of fs.readdirSync(dir)) if (file.startsWith(name)) fs.rmSync(at(file));
};

async function largeModel() {
  const model = at('m.onnx');
  if (fs.existsSync(model)) return model;
  console.error('making the model');
  const weights = writeSafetensors(at('graph.safetensors'));
  fs.writeFileSync(at('graph.onnx'), await encoderGraph(weights, 'graph.safetensors'));
  json('convert', at('graph.onnx'), model, '--validate', 'structure');
  remove('graph.');
  return model;
}

/** What the large graph is quantized to, and the peer's job for the same. */
const LARGE = [
  ['int8-dynamic, per tensor', ['--scheme', 'int8-dynamic', '--per-tensor'], 'int8-dynamic'],
  ['int8-dynamic, per channel', ['--scheme', 'int8-dynamic', '--per-channel'], 'int8-dynamic-channel'],
  ['int4-weights (MatMulNBits, block 32)', ['--scheme', 'int4-weights'], 'int4'],
  ['fp16 graph', ['--scheme', 'fp16'], 'fp16'],
  ['int8-weights, per channel', ['--scheme', 'int8-weights'], undefined],
  ['nf4', ['--scheme', 'nf4'], undefined],
  ['palette-4', ['--scheme', 'palette-4'], undefined],
];

async function large() {
  const model = await largeModel();
  const commands = LARGE.flatMap(([title, args, job]) => {
    const out = at('q.onnx');
    const before = () => remove('q.');
    return [
      {
        name: title,
        command: mlser('quantize', model, out, ...args, '--validate', 'structure', '--no-sync'),
        before,
      },
      { name: `${title} gate`, command: mlser('quantize', model, out, ...args, '--tolerance 1e9'), before },
      ...(python && job ? [{ name: `${title} peer`, command: peer(job, model, out), before }] : []),
    ];
  });
  const found = compare(commands, runs);
  remove('q.');
  const cell = (result) => (result ? `${result.wall.toFixed(2)} s, ${Math.round(result.rss)} MB` : '–');
  const rows = LARGE.map(([title]) => {
    const [ours, gate, theirs] = ['', ' gate', ' peer'].map((suffix) => found.get(`${title}${suffix}`));
    const ratio = (a) => (theirs && a ? `${(theirs.wall / a.wall).toFixed(1)} ×` : '–');
    return `| ${title} | ${cell(theirs)} | ${cell(ours)} | ${ratio(ours)} | ${cell(gate)} | ${ratio(gate)} |`;
  });
  return [
    '### A graph of 1.34 GB (BERT-large shapes)',
    '',
    'Wall time and peak memory of the largest process; `structure`: `--validate structure --no-sync`, not waiting for the disk, as',
    'the peer does not; `gate`: waiting for it, every byte read back, source and result run next to each other.',
    '',
    '| scheme | onnxruntime.quantization | mlser, structure | faster | mlser, gate | faster |',
    '|---|--:|--:|--:|--:|--:|',
    ...rows,
    '',
  ];
}

/** What the classifiers are quantized to. `set`: samples for ranges. */
const SMALL = [
  ['int8-static', ['--per-tensor'], 'int8-static'],
  ['int8-static', ['--per-channel'], 'int8-static-channel'],
  ['int8-static', ['--per-tensor', '--operators'], 'int8-static-operators'],
  ['int8-dynamic', ['--per-tensor', '--weights unsigned'], 'int8-dynamic-u8'],
  ['int8-dynamic', ['--per-channel', '--weights signed'], 'int8-dynamic-channel'],
  ['int8-dynamic', [], undefined],
  ['int8-weights', [], 'int8-weights'],
  ['int4-weights', ['--asymmetric'], 'int4'],
  ['int4-weights', ['--symmetric'], 'int4-sym'],
  ['int4-weights', ['--method', 'mse'], undefined],
  ['fp16', [], 'fp16'],
  ['nf4', [], undefined],
  ['mxfp4', [], undefined],
  ['palette-8', [], undefined],
  ['palette-4', [], undefined],
  ['int2-weights', [], undefined],
  // Better than the nearest integer. The peer's GPTQ needs neural_compressor, which is not on its package's list.
  ['int4-weights', ['--refine gptq'], undefined],
  ['int4-weights', ['--refine awq'], undefined],
  ['int4-weights', ['--asymmetric', '--refine hqq'], 'int4-hqq'],
  ['int2-weights', ['--refine gptq'], undefined],
  ['int8-dynamic', ['--refine smooth'], undefined],
  ['int8-static', ['--refine smooth'], undefined],
];

/** Schemes and refinements that look at samples. */
const SAMPLED = /int8-static|--refine (gptq|awq|smooth)/;

function small(name) {
  const folder = path.resolve(here, '../../fixtures/trained', name);
  const source = path.join(folder, 'model.onnx');
  const [test, samples] = ['test.npz', 'calib.npz'].map((file) => path.join(folder, file));
  const proof = ['--inputs', test, '--labels', 'y', '--tolerance', '1e9', '--force'];
  const models = { source };
  const rows = SMALL.map(([scheme, args, job], i) => {
    const [ours, theirs] = [at(`s${i}.onnx`), at(`p${i}.onnx`)];
    const calibration = SAMPLED.test([scheme, ...args].join(' ')) ? ['--calibration', samples] : [];
    const made = json(
      'quantize',
      source,
      ours,
      '--scheme',
      scheme,
      ...args.flatMap((arg) => arg.split(' ')),
      ...calibration,
      ...proof,
    );
    models[`s${i}`] = ours;
    let peerReport;
    if (python && job) {
      execFileSync('bash', ['-c', peer(job, source, theirs, samples)], { stdio: 'ignore' });
      const proved = ['--reference', source, '--inputs', test, '--labels', 'y', '--tolerance', '1e9'];
      peerReport = json('validate', theirs, ...proved);
      models[`p${i}`] = theirs;
    }
    return { title: [scheme, ...args].join(' '), i, made, peerReport, ours, theirs };
  });
  const request = JSON.stringify({ feeds: test, models, runs: 400 });
  const latency = JSON.parse(
    execFileSync(process.execPath, [path.join(here, 'latency.js'), request], { encoding: 'utf8' }),
  );
  const points = (accuracy) => `${(100 * accuracy).toFixed(1)} %`;
  const error = ({ run }) => (1 - (run?.outputs[0]?.cosine ?? Number.NaN)).toExponential(1);
  const columns = (file, key, validation) => [
    `${(sizeOf(file) / 1000).toFixed(1)} kB`,
    error(validation),
    points(validation.accuracy.after),
    `${latency[key].toFixed(3)} ms`,
  ];
  const [first] = rows;
  const before = points(first.made.validation.accuracy.before);
  return [
    `### ${name}: ${(sizeOf(source) / 1000).toFixed(1)} kB, ${before}, ${latency.source.toFixed(3)} ms a run`,
    '',
    '| scheme | size | 1 − cosine | accuracy | latency | size, onnxruntime | 1 − cosine | accuracy | latency |',
    '|---|--:|--:|--:|--:|--:|--:|--:|--:|',
    ...rows.map(({ title, i, made, peerReport, ours, theirs }) => {
      const own = columns(ours, `s${i}`, made.validation);
      const other = peerReport ? columns(theirs, `p${i}`, peerReport.validation) : ['–', '–', '–', '–'];
      return `| ${title} | ${[...own, ...other].join(' | ')} |`;
    }),
    '',
  ];
}

/** All files that transformers.js loads: of the large graph what they take, of a classifier what they are worth. */
async function presets() {
  const model = await largeModel();
  const folder = at('preset');
  const command = (...args) =>
    mlser('quantize', model, folder, '--preset transformers.js --tolerance 1e9 --force', ...args);
  const before = () => fs.rmSync(folder, { recursive: true, force: true });
  const levels = [
    ['structure', once(command('--validate structure --no-sync'), { before })],
    ['gate', once(command(), { before })],
  ];
  const files = fs.readdirSync(path.join(folder, 'onnx'));
  const bytes = files.reduce((sum, file) => sum + sizeOf(path.join(folder, 'onnx', file)), 0);
  before();
  const trained = path.resolve(here, '../../fixtures/trained/digits_cnn');
  const proof = ['--inputs', path.join(trained, 'test.npz'), '--labels', 'y', '--tolerance', '1e9'];
  const { variants } = json(
    ...['quantize', path.join(trained, 'model.onnx'), folder, '--preset', 'transformers.js', ...proof],
  );
  before();
  return [
    '### `--preset transformers.js`',
    '',
    `${files.length} files of the graph of 1.34 GB, ${(bytes / 1e9).toFixed(2)} GB in all:`,
    '',
    '| | wall | CPU | peak memory |',
    '|---|--:|--:|--:|',
    ...levels.map(
      ([level, { wall, cpu, rss }]) =>
        `| ${level} | ${wall.toFixed(1)} s | ${cpu.toFixed(1)} s | ${Math.round(rss)} MB |`,
    ),
    '',
    'Of digits_cnn:',
    '',
    '| dtype | scheme | size | 1 − cosine | accuracy | latency before | after |',
    '|---|---|--:|--:|--:|--:|--:|',
    ...variants.map(({ dtype, scheme, bytes: size, cosine, accuracy, beforeMs, afterMs }) => {
      const ms = (value) => (value === undefined ? '–' : `${value.toFixed(3)} ms`);
      const error = (1 - (cosine ?? Number.NaN)).toExponential(1);
      const share = `${(100 * accuracy).toFixed(1)} %`;
      return `| ${[dtype, scheme, `${(size / 1000).toFixed(1)} kB`, error, share, ms(beforeMs), ms(afterMs)].join(' | ')} |`;
    }),
    '',
  ];
}

const note = `${os.cpus()[0]?.model ?? ''}, ${os.cpus().length} cores, Node ${process.version}; medians of ${runs} interleaved runs on
the large model; latencies are medians of 400 runs of one sample on one thread, all models in turn. 500 real test images;
onnxruntime's quantizer gets the same options and calibration samples.`;
const parts = process.argv.includes('--small') ? [] : [...(await large()), ...(await presets())];
const text = [note, '', ...parts, ...['digits_cnn', 'digits_mlp'].flatMap(small)].join('\n');
replaceSection('quantize', text);
console.log(text);
