// npm run bench:deltas: sizes and speeds of deltas and packed checkpoints beside zstd and xdelta3, written to
// test/bench/RESULTS.md.
//   MLSER_BENCH_DIR          where generated models go (about 8 GB; default: a temporary folder)
//   MLSER_BENCH_CHECKPOINTS  more checkpoints of a real run (gpt_s1000.safetensors, …): without them their rows are left out
//   MLSER_BENCH_RUNS         runs a command, interleaved (default 5)
import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as zlib from 'node:zlib';
import { codecSpeeds } from './codec-speed.js';
import { compare } from './measure.js';
import { writePair } from './pair.js';
import { replaceSection } from './results.js';

const here = path.dirname(fileURLToPath(import.meta.url));
const cli = path.resolve(here, '../../bin/mlser.js');
const dir = process.env.MLSER_BENCH_DIR ?? fs.mkdtempSync(path.join(os.tmpdir(), 'mlser-bench-'));
const checkpoints = process.env.MLSER_BENCH_CHECKPOINTS;
const digits = path.resolve(here, '../../fixtures/trained/digits_cnn/checkpoints');
const runs = Number(process.env.MLSER_BENCH_RUNS ?? 5);
const at = (name) => path.join(dir, name);
const size = (file) => fs.statSync(file).size;
const has = (tool) => {
  try {
    execFileSync('which', [tool], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};
const mlser = (...args) =>
  JSON.parse(
    execFileSync(process.execPath, [cli, ...args, '--json'], { encoding: 'utf8', maxBuffer: 1 << 28 }),
  );
const run = (command) => execFileSync('bash', ['-c', command], { stdio: ['ignore', 'ignore', 'ignore'] });
const percent = (part, whole) => `${((100 * part) / whole).toFixed(1)} %`;

/** What the peers make of a pair, in bytes: at their best, or at their fast levels for a gigabyte. */
function peers(base, next, fast = false) {
  const out = at('peer.out');
  const measure = (tool, command) => {
    if (!has(tool)) return undefined;
    fs.rmSync(out, { force: true });
    run(command);
    return size(out);
  };
  return {
    zstd: measure('zstd', `zstd -q -3 -f ${next} -o ${out}`),
    patch: measure('zstd', `zstd -q -${fast ? 3 : 19} --long=31 --patch-from=${base} -f ${next} -o ${out}`),
    xdelta: measure('xdelta3', `xdelta3 -${fast ? 1 : 9} -e -f -s ${base} ${next} ${out}`),
  };
}

/** Pairs of real checkpoints: share of the tensor bytes that is stored. */
function realPairs() {
  const list = [];
  const cast = (file, name) => {
    if (!fs.existsSync(at(name)))
      mlser('convert', file, at(name), '--dtype', 'bf16', '--validate', 'weights', '--force');
    return at(name);
  };
  list.push([
    'digits CNN 180 → 200, f32 with Adam',
    path.join(digits, 'step0180.pt'),
    path.join(digits, 'step0200.pt'),
  ]);
  list.push([
    'digits CNN 180 → 200, bf16 with Adam',
    path.join(digits, 'step0180.bf16.safetensors'),
    path.join(digits, 'step0200.bf16.safetensors'),
  ]);
  if (checkpoints) {
    const gpt = (step) => path.join(checkpoints, `gpt_s${step}.safetensors`);
    for (const step of [1001, 1010, 1100]) {
      list.push([`GPT 1000 → ${step}, f32`, gpt(1000), gpt(step)]);
      list.push([
        `GPT 1000 → ${step}, bf16`,
        cast(gpt(1000), 'gpt1000.bf16.safetensors'),
        cast(gpt(step), `gpt${step}.bf16.safetensors`),
      ]);
    }
    list.push([
      'GPT 1000 → 1001, f32 with Adam (.pt)',
      path.join(checkpoints, 'gpt_full_s1000.pt'),
      path.join(checkpoints, 'gpt_full_s1001.pt'),
    ]);
  }
  const rows = list.map(([title, base, next]) => {
    const made = mlser('delta', 'create', base, next, at('d.mlck'), '--force');
    const alone = mlser('convert', next, at('alone.mlck'), '--compress', '--force');
    const { zstd, patch, xdelta } = peers(base, next);
    const share = (bytes) => (bytes === undefined ? '–' : percent(bytes, made.tensorBytes));
    return `| ${title} | ${made.tensorBytes} | ${share(zstd)} | ${share(patch)} | ${share(xdelta)} | ${share(alone.bytesOut)} | **${share(made.bytesOut)}** |`;
  });
  return [
    '### Real checkpoints: share of the tensor bytes that is stored',
    '',
    '| pair | tensor bytes | zstd -3 | zstd -19 --patch-from | xdelta3 -9 | mlser, no base | mlser delta |',
    '|---|--:|--:|--:|--:|--:|--:|',
    ...rows,
    '',
  ];
}

const SHARES = [1, 5, 20];
/** Bits a value at least: which values moved, and in which direction. */
const bound = (p) => -(p * Math.log2(p) + (1 - p) * Math.log2(1 - p)) + p;

async function generatedPairs() {
  const base = at('b.safetensors');
  const moved = new Map(SHARES.map((share) => [at(`p${share}.safetensors`), share / 100]));
  if (![base, ...moved.keys()].every((file) => fs.existsSync(file))) {
    console.error('making the pair');
    writePair(base, moved);
  }
  const sizes = [];
  const commands = [];
  const fresh = (name) => ({ before: () => fs.rmSync(at(name), { force: true }) });
  commands.push({ name: 'cp', command: `cp ${base} ${at('copy.bin')}`, ...fresh('copy.bin') });
  for (const share of SHARES) {
    const next = at(`p${share}.safetensors`);
    const delta = at(`d${share}.mlck`);
    const made = mlser('delta', 'create', base, next, delta, '--force', '--validate', 'weights');
    const { zstd, patch, xdelta } = peers(base, next, true);
    const times = (bytes) => (bytes === undefined ? '–' : (made.tensorBytes / bytes).toFixed(1));
    const best = (made.tensorBytes * bound(share / 100)) / 16;
    sizes.push(
      `| ${share} % | ${times(zstd)} | ${times(patch)} | ${times(xdelta)} | **${times(made.bytesOut)}** | ${times(best)} | ${((100 * best) / made.bytesOut).toFixed(1)} % |`,
    );
    const plain = '--validate structure --no-sync';
    commands.push(
      {
        name: `create, ${share} %, structure`,
        command: `node ${cli} delta create ${base} ${next} ${at('o.mlck')} ${plain} --json`,
        ...fresh('o.mlck'),
      },
      {
        name: `create, ${share} %, whole gate`,
        command: `node ${cli} delta create ${base} ${next} ${at('o.mlck')} --json`,
        ...fresh('o.mlck'),
      },
      {
        name: `apply, ${share} %, structure`,
        command: `node ${cli} delta apply ${base} ${delta} ${at('o.safetensors')} ${plain} --json`,
        ...fresh('o.safetensors'),
      },
      {
        name: `apply, ${share} %, whole gate`,
        command: `node ${cli} delta apply ${base} ${delta} ${at('o.safetensors')} --json`,
        ...fresh('o.safetensors'),
      },
    );
  }
  if (has('zstd'))
    commands.push(
      {
        name: 'zstd -3 of the new file',
        command: `zstd -q -3 -f ${at('p5.safetensors')} -o ${at('o.zst')}`,
        ...fresh('o.zst'),
      },
      {
        name: 'zstd -3 --patch-from, 5 %',
        command: `zstd -q -3 --long=31 --patch-from=${base} -f ${at('p5.safetensors')} -o ${at('o.zst')}`,
        ...fresh('o.zst'),
      },
      {
        name: 'zstd -d --patch-from, 5 %',
        command: `zstd -q -d --long=31 --memory=2048MB --patch-from=${base} -f ${at('o.zst')} -o ${at('o.bin')}`,
        ...fresh('o.bin'),
      },
    );
  console.error('measuring');
  const results = compare(commands, runs);
  const lines = commands.map(({ name }) => {
    const { wall, cpu, rss } = results.get(name);
    return `| ${name} | ${wall.toFixed(3)} | ${cpu.toFixed(3)} | ${Math.round(rss)} |`;
  });
  return [
    `### bf16 pair of ${(size(base) / 1e9).toFixed(2)} GB, a share of the values moved by one unit in the last place: times smaller`,
    '',
    '| moved | zstd -3 | zstd -3 --patch-from | xdelta3 -1 | mlser delta | bound | of the bound |',
    '|---|--:|--:|--:|--:|--:|--:|',
    ...sizes,
    '',
    '### … and how long it takes',
    '',
    '| what | wall s | CPU s | peak MB |',
    '|---|--:|--:|--:|',
    ...lines,
    '',
  ];
}

/** The exponent plane of trained weights: what coders make of it. */
async function entropyCoding() {
  const { exponentPlane, huffman } = await import('./codec-speed.js');
  const sources = [['weights N(0, 0.03)', exponentPlane()]];
  const rows = [];
  for (const [title, plane] of sources) {
    const counts = new Float64Array(256);
    for (const byte of plane) counts[byte]++;
    const entropy = counts.reduce(
      (sum, n) => (n ? sum - (n / plane.length) * Math.log2(n / plane.length) : sum),
      0,
    );
    const time = (work) => {
      for (let i = 0; i < 3; i++) work();
      const before = process.cpuUsage();
      for (let i = 0; i < 10; i++) work();
      const { user, system } = process.cpuUsage(before);
      return (plane.length * 10) / ((user + system) / 1e6) / 1e9;
    };
    const deflate = (options) => ({
      bytes: zlib.deflateRawSync(plane, options).length,
      speed: time(() => zlib.deflateRawSync(plane, options)),
    });
    const ours = huffman(plane);
    const entries = [
      ['raw', { bytes: plane.length, speed: undefined }],
      ['zstd -1', zstdOf(plane, 1)],
      ['zstd -3', zstdOf(plane, 3)],
      ['deflate, Huffman only', deflate({ strategy: zlib.constants.Z_HUFFMAN_ONLY })],
      ['deflate -6', deflate({ level: 6 })],
      ['ours, four-stream Huffman', { bytes: ours.bytes, speed: ours.encode, back: ours.decode }],
      ['entropy bound', { bytes: (plane.length * entropy) / 8, speed: undefined }],
    ];
    for (const [name, made] of entries) {
      if (!made) continue; // a peer that is not installed
      const { bytes, speed, back } = made;
      rows.push(
        `| ${title} | ${name} | ${((100 * bytes) / plane.length).toFixed(2)} % | ${((8 * bytes) / plane.length).toFixed(3)} | ${speed?.toFixed(2) ?? '–'} | ${back?.toFixed(2) ?? '–'} |`,
      );
    }
  }
  return [
    '### Exponent bytes (4 MiB plane): what coders make of them, one core, GB/s of plane bytes',
    '',
    '| plane | coder | kept | bits a byte | encode | decode |',
    '|---|---|--:|--:|--:|--:|',
    ...rows,
    '',
  ];
}

/** What zstd's own benchmark says of the plane: its last line reads `name : 4096 -> 2048 (x2.0), 230.1 MB/s, 1030.0 MB/s`. */
function zstdOf(plane, level) {
  if (!has('zstd')) return undefined;
  fs.writeFileSync(at('plane.bin'), plane);
  const { stdout, stderr } = spawnSync('zstd', [`-b${level}`, '-i2', at('plane.bin')], { encoding: 'utf8' });
  const said = /-> *(\d+) \(x[\d.]+\), *([\d.]+) MB\/s, *([\d.]+) MB\/s/.exec(stdout + stderr);
  if (!said) return undefined;
  return { bytes: Number(said[1]), speed: Number(said[2]) / 1e3, back: Number(said[3]) / 1e3 };
}

async function codecs() {
  const rows = (await codecSpeeds()).map(
    ({ name, codec, kept, encode, decode }) =>
      `| ${name} | ${codec} | ${(100 * kept).toFixed(2)} % | ${encode.toFixed(2)} | ${decode.toFixed(2)} |`,
  );
  return [
    '### Codecs in memory, one core, GB/s of raw bytes (choosing the codec included)',
    '',
    '| chunk of 1 MiB | codec | kept | encode | decode |',
    '|---|---|--:|--:|--:|',
    ...rows,
    '',
  ];
}

fs.mkdirSync(dir, { recursive: true });
const parts = { codecs, entropy: entropyCoding, real: async () => realPairs(), generated: generatedPairs };
const chosen = process.argv.slice(2).length ? process.argv.slice(2) : Object.keys(parts);
const sections = [];
for (const name of chosen) {
  console.error(`measuring ${name}`);
  sections.push(...(await parts[name]()));
}
const text = [
  '<!-- measured by npm run bench:deltas -->',
  `${os.cpus()[0]?.model ?? 'unknown CPU'}, ${os.cpus().length} cores, Node ${process.version}; medians of ${runs} interleaved runs, page cache warm.`,
  '',
  ...sections,
].join('\n');
if (chosen.length === Object.keys(parts).length) replaceSection('deltas', text);
console.log(text);
if (!process.env.MLSER_BENCH_DIR) fs.rmSync(dir, { recursive: true, force: true });
