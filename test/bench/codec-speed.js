// Speeds of the chunk codecs on one core, in memory: CPU time of this process.
import { ownBenches } from '../../dist/kernels/codecs/bench.js';
import { encodeChunk } from '../../dist/kernels/codecs/choose.js';
import { decodeChunk } from '../../dist/kernels/codecs/decode.js';
import { loadCodecs } from '../../dist/kernels/codecs/index.js';
import { arena } from '../../dist/kernels/wasm.js';

const CHUNK = 1 << 20;
const SCALE = 0.03;

function randoms(seed) {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 4294967296;
  };
}

function weights(count, seed, scale = SCALE) {
  const next = randoms(seed);
  return Float32Array.from({ length: count }, () => {
    const radius = Math.sqrt(-2 * Math.log(next() + 1e-12));
    return scale * radius * Math.cos(2 * Math.PI * next());
  });
}

function toBf16(values) {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, (x) => (x + 0x7fff + ((x >>> 16) & 1)) >>> 16);
}

const bytes = (array) => new Uint8Array(array.buffer, array.byteOffset, Math.min(CHUNK, array.byteLength));

/** GB/s of CPU time; the work of putting bytes in place is measured apart and taken off. */
function speed(amount, prepare, work) {
  const rounds = 100;
  const cpu = (step) => {
    for (let i = 0; i < 20; i++) step();
    const before = process.cpuUsage();
    for (let i = 0; i < rounds; i++) step();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1e6;
  };
  const idle = cpu(prepare);
  const busy = cpu(() => {
    prepare();
    work();
  });
  return (amount * rounds) / Math.max(busy - idle, 1e-9) / 1e9;
}

export async function codecSpeeds() {
  const codecs = await loadCodecs();
  const [bench] = ownBenches();
  const f32 = weights(CHUNK / 2, 11);
  const step = f32.map((x, i) => x + (((i * 2654435761) % 1000) - 500) * 2e-5);
  const bf16 = toBf16(f32);
  const moved = (share) => {
    const next = randoms(5);
    return bf16.map((x) => (next() < share ? (next() < 0.5 ? x + 1 : x - 1) : x));
  };
  const pruned = f32.map((x, i) => (((i * 2654435761) >>> 0) % 10 < 7 ? 0 : x));
  const int4 = f32.map((x) => Math.fround(Math.max(-8, Math.min(7, Math.round(x / 0.01))) * 0.01));
  const cases = [
    ['bf16, no base', 'bf16', bytes(bf16)],
    ['f32, no base', 'f32', bytes(f32)],
    ['f32, 70 % pruned', 'f32', bytes(pruned)],
    ['int4 values in f32', 'f32', bytes(int4)],
    ['bf16, 1 % moved', 'bf16', bytes(moved(0.01)), bytes(bf16)],
    ['bf16, 5 % moved', 'bf16', bytes(moved(0.05)), bytes(bf16)],
    ['bf16, 20 % moved', 'bf16', bytes(moved(0.2)), bytes(bf16)],
    ['bf16, every value moved', 'bf16', bytes(toBf16(step)), bytes(bf16)],
    ['f32, every value moved', 'f32', bytes(step), bytes(f32)],
  ];
  return cases.map(([name, dtype, raw, base]) => {
    const put = () => {
      bench.raw.bytes.set(raw);
      if (base) bench.base.bytes.set(base);
    };
    put();
    const encoded = encodeChunk(bench, dtype, CHUNK, base !== undefined, codecs);
    const stored = encoded.bytes.slice();
    const encode = speed(CHUNK, put, () => encodeChunk(bench, dtype, CHUNK, base !== undefined, codecs));
    const load = () => {
      bench.stored.bytes.set(stored);
      if (base) bench.base.bytes.set(base);
    };
    const chunk = { codec: encoded.codec, stored: stored.length, length: CHUNK, dtype };
    const decode = speed(CHUNK, load, () => decodeChunk(bench, codecs, chunk));
    if (Buffer.compare(bench.raw.bytes.subarray(0, CHUNK), raw) !== 0)
      throw new Error(`${name} came back wrong`);
    const codec = codecs.get(encoded.codec)?.name ?? 'raw';
    return { name, codec, kept: stored.length / CHUNK, encode, decode };
  });
}

/** The exponent bytes of bf16 weights. */
export function exponentPlane() {
  return Uint8Array.from(toBf16(weights(4 << 20, 3)), (x) => (x >>> 7) & 0xff);
}

/** Our Huffman kernels on a plane, chunk by chunk as codecs use them. */
export function huffman(plane) {
  const here = arena();
  const [bench] = ownBenches();
  const [work] = here.codec.work;
  const count = 1 << 19;
  const slices = Array.from({ length: plane.length / count }, (_, i) =>
    plane.subarray(i * count, (i + 1) * count),
  );
  const coded = slices.map((slice) => {
    bench.raw.bytes.set(slice);
    here.kernels.planeModel(bench.raw.at, count, work);
    return bench.stored.bytes.slice(0, here.kernels.planeEncode(bench.raw.at, count, bench.stored.at, work));
  });
  const [first] = coded;
  bench.raw.bytes.set(slices[0]);
  const encode = speed(
    count,
    () => {},
    () => {
      here.kernels.planeModel(bench.raw.at, count, work);
      here.kernels.planeEncode(bench.raw.at, count, bench.stored.at, work);
    },
  );
  bench.stored.bytes.set(first);
  const decode = speed(
    count,
    () => {},
    () => here.kernels.planeDecode(bench.stored.at, bench.stored.at + first.length, count, bench.a.at, work),
  );
  if (Buffer.compare(bench.a.bytes.subarray(0, count), slices[0]) !== 0)
    throw new Error('a plane came back wrong');
  return { bytes: coded.reduce((sum, part) => sum + part.length, 0), encode, decode };
}
