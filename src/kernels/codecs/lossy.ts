import type { DType } from '../../core/dtype.js';
import type { LossyMethod } from '../../core/format.js';
import { decodeElements, encodeElements } from '../elements.js';
import { type Bench, type ChunkShape, shapeOf } from './bench.js';
import { type Encoded, encodeChunk } from './choose.js';
import type { Codec, Codecs } from './codec.js';
import { packPlanes, unpackPlanes } from './plane-parts.js';

/** Differences that share a scale. */
const GROUP = 1024;
const STEPS = 127;

/** Types whose differences can be rounded. */
export const canBeLossy = (dtype: DType): boolean => dtype === 'f32' || dtype === 'bf16' || dtype === 'f16';

const numbers = (dtype: DType, bytes: Uint8Array, count: number): Float64Array => {
  const values = new Float64Array(count);
  decodeElements(dtype, bytes, count, values);
  return values;
};

/** A rounded chunk: what is stored of it. */
interface Rounded {
  /** Differences: bf16 codes, or steps of the scale of their group. */
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
}

/**
 * Rounds the differences of a chunk to its base. Undefined where that cannot be (something is not finite, or would
 * change its sign): such a chunk stays exact. Both whoever announces the values and whoever stores them call it.
 */
export function roundChunk(
  dtype: DType,
  method: LossyMethod,
  next: Uint8Array,
  base: Uint8Array,
): (Rounded & { readonly result: Uint8Array }) | undefined {
  const { count } = shapeOf(dtype, next.length);
  const wanted = numbers(dtype, next, count);
  const from = numbers(dtype, base, count);
  const rounded = method === 'bf16-delta' ? toBf16(wanted, from) : toSteps(wanted, from);
  if (!rounded) return undefined;
  const result = new Uint8Array(next.length);
  restore(dtype, method, rounded, from, result);
  const values = numbers(dtype, result, count);
  for (let i = 0; i < count; i++) {
    const value = values[i] ?? 0;
    if (!Number.isFinite(value) || (value < 0 && (wanted[i] ?? 0) >= 0)) return undefined;
  }
  return { ...rounded, result };
}

function toBf16(wanted: Float64Array, from: Float64Array): Rounded | undefined {
  const differences = new Float64Array(wanted.length);
  for (let i = 0; i < wanted.length; i++) {
    const difference = Math.fround((wanted[i] ?? 0) - (from[i] ?? 0));
    if (!Number.isFinite(difference)) return undefined;
    differences[i] = difference;
  }
  const codes = new Uint8Array(wanted.length * 2);
  encodeElements('bf16', differences, wanted.length, codes);
  return { codes, scales: new Float32Array() };
}

function toSteps(wanted: Float64Array, from: Float64Array): Rounded | undefined {
  const count = wanted.length;
  const codes = new Uint8Array(count);
  const scales = new Float32Array(Math.ceil(count / GROUP));
  for (let group = 0; group < scales.length; group++) {
    const end = Math.min(count, (group + 1) * GROUP);
    let largest = 0;
    for (let i = group * GROUP; i < end; i++) {
      const difference = Math.abs((wanted[i] ?? 0) - (from[i] ?? 0));
      if (!(difference <= 3e38)) return undefined;
      if (difference > largest) largest = difference;
    }
    const scale = Math.fround(largest / STEPS);
    scales[group] = scale;
    if (scale === 0) continue;
    for (let i = group * GROUP; i < end; i++) {
      const base = from[i] ?? 0;
      const value = wanted[i] ?? 0;
      let step = Math.max(-STEPS, Math.min(STEPS, Math.round((value - base) / scale)));
      // What is not negative stays so (second moments have a root taken of them).
      while (value >= 0 && step < STEPS && Math.fround(base + Math.fround(scale * step)) < 0) step++;
      codes[i] = step & 0xff;
    }
  }
  return { codes, scales };
}

/** base + difference, in f32, rounded to the type. */
function restore(
  dtype: DType,
  method: LossyMethod,
  { codes, scales }: Rounded,
  from: Float64Array,
  out: Uint8Array,
): void {
  const count = from.length;
  const values = new Float64Array(count);
  if (method === 'bf16-delta') {
    decodeElements('bf16', codes, count, values);
    for (let i = 0; i < count; i++) values[i] = Math.fround((from[i] ?? 0) + (values[i] ?? 0));
  } else
    for (let i = 0; i < count; i++) {
      const step = ((codes[i] ?? 0) << 24) >> 24;
      const difference = Math.fround((scales[Math.floor(i / GROUP)] ?? 0) * step);
      values[i] = Math.fround((from[i] ?? 0) + difference);
    }
  encodeElements(dtype, values, count, out);
}

const METHODS: readonly { readonly id: number; readonly method: LossyMethod }[] = [
  { id: 24, method: 'bf16-delta' },
  { id: 25, method: 'int8-delta' },
];

const widthOf = (method: LossyMethod): 1 | 2 => (method === 'bf16-delta' ? 2 : 1);
const scaleBytes = (method: LossyMethod, count: number): number =>
  method === 'bf16-delta' ? 0 : Math.ceil(count / GROUP) * 4;

/**
 * Rounds the chunk in `bench.raw` against `bench.base` and stores that, or the result without loss where it is
 * shorter. What it will be read back as is in `bench.raw` afterwards.
 */
export function encodeLossy(
  bench: Bench,
  dtype: DType,
  length: number,
  method: LossyMethod,
  codecs: Codecs,
): Encoded {
  const next = bench.raw.bytes.slice(0, length);
  const rounded = roundChunk(dtype, method, next, bench.base.bytes.slice(0, length));
  if (!rounded) return encodeChunk(bench, dtype, length, true, codecs);
  bench.raw.bytes.set(rounded.result);
  const exact = encodeChunk(bench, dtype, length, true, codecs);
  const { count } = shapeOf(dtype, length);
  const head = scaleBytes(method, count);
  const { stored, b } = bench;
  stored.bytes.set(new Uint8Array(rounded.scales.buffer));
  b.bytes.set(rounded.codes);
  const limit = exact.bytes.byteLength - head;
  const packed = packPlanes(bench, b.at, count, widthOf(method), stored.at + head, limit);
  const id = METHODS.find((known) => known.method === method)?.id;
  if (packed === undefined || id === undefined) return exact;
  return { codec: id, bytes: stored.bytes.slice(0, head + packed), changed: exact.changed };
}

/** Scales (f32 each) of int8-delta, then the byte planes of the codes. Chosen by `encodeLossy` only. */
const lossyCodec = ({ id, method }: (typeof METHODS)[number]): Codec => ({
  id,
  name: method,
  needsBase: true,
  encode: () => undefined,
  decode(bench, { dtype, count, length: bytes }: ChunkShape, length) {
    if (!canBeLossy(dtype)) return false;
    const head = scaleBytes(method, count);
    const { stored, base, raw, b } = bench;
    if (head > length) return false;
    const scales = new Float32Array(stored.bytes.slice(0, head).buffer);
    const end = stored.at + length;
    if (!unpackPlanes(bench, stored.at + head, end, count, widthOf(method), b.at)) return false;
    const codes = b.bytes.slice(0, count * widthOf(method));
    const from = numbers(dtype, base.bytes.slice(0, bytes), count);
    const out = new Uint8Array(bytes);
    restore(dtype, method, { codes, scales }, from, out);
    raw.bytes.set(out);
    return true;
  },
});

export const LOSSY_CODECS: readonly Codec[] = METHODS.map(lossyCodec);
