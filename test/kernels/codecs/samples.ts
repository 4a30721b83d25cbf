import type { DType } from '../../../src/core/dtype.js';
import { shapeOf } from '../../../src/kernels/codecs/bench.js';
import { encodeElements } from '../../../src/kernels/elements.js';
import { bytesOf, EDGE_BITS, random } from '../samples.js';

/** Chunks for the codecs: the same for a seed. */

/** Normally distributed, a scale for every `channel` values, as the weights of a layer have it. */
export function gaussian(count: number, seed = 1, channel = 512): Float64Array {
  const next = random(seed);
  const values = new Float64Array(count);
  let scale = 1;
  for (let i = 0; i < count; i++) {
    if (i % channel === 0) scale = 0.02 * 2 ** (next() - 0.5);
    values[i] = scale * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  }
  return values;
}

/** Values as canonical bytes. */
export function bytesAs(dtype: DType, values: Float64Array): Uint8Array {
  const bytes = new Uint8Array(values.length * shapeOf(dtype, 0).width);
  encodeElements(dtype, values, values.length, bytes);
  return bytes;
}

export function noise(length: number, seed = 1): Uint8Array {
  const next = random(seed);
  return Uint8Array.from({ length }, () => next() * 256);
}

/** f32: infinities, NaNs, zeros of both signs, subnormals, ends of ranges. */
export function edges(count: number, seed = 1): Uint8Array {
  const next = random(seed);
  return bytesOf(
    Uint32Array.from({ length: count }, () => EDGE_BITS[Math.floor(next() * EDGE_BITS.length)] ?? 0),
  );
}

/** Bytes of which one in `every` (at random) is another one. */
export function mostly(length: number, every: number, seed = 1): Uint8Array {
  const next = random(seed);
  return Uint8Array.from({ length }, () => (next() * every < 1 ? 7 : 42));
}

/** Elements of which a share is changed at random. */
export function withChanges(base: Uint8Array, width: number, share: number, seed = 1): Uint8Array {
  const next = random(seed);
  const out = base.slice();
  for (let at = 0; at < out.length; at += width)
    if (next() < share) out[at] = (out[at] ?? 0) ^ (1 + Math.floor(next() * 255));
  return out;
}

/** Every element a few units in the last place away. */
export function stepped(base: Uint8Array, width: 1 | 2 | 4, most: number, seed = 1): Uint8Array {
  const next = random(seed);
  const out = base.slice();
  const elements = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array };
  const list = new elements[width](out.buffer);
  for (let i = 0; i < list.length; i++) list[i] = (list[i] ?? 0) + Math.round((next() + next() - 1) * most);
  return out;
}

/** Lengths of all kinds: short ones, sizes around quarters and vectors, one that is not small. */
export const COUNTS: readonly number[] = [
  ...Array.from({ length: 70 }, (_, i) => i + 1),
  ...[127, 128, 129, 255, 256, 257, 1021, 1022, 1023, 1024, 1025, 4095, 4097, 9999],
];
