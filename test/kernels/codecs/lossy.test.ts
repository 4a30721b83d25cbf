import { describe, expect, it } from 'vitest';
import { DTYPES } from '../../../src/core/dtype.js';
import type { LossyMethod } from '../../../src/core/format.js';
import { CODEC_NAMES } from '../../../src/kernels/codecs/index.js';
import { canBeLossy, encodeLossy, roundChunk } from '../../../src/kernels/codecs/lossy.js';
import { decodeElements } from '../../../src/kernels/elements.js';
import { codecs, decode } from './chunks.js';
import { bench, expectBytes } from './harness.js';
import { bytesAs, gaussian } from './samples.js';

const METHODS: readonly LossyMethod[] = ['bf16-delta', 'int8-delta'];
const TYPES = ['f32', 'bf16', 'f16'] as const;
type Type = (typeof TYPES)[number];

const COUNT = 5000; // groups of 1024, the last one shorter
const base = gaussian(COUNT);
const drift = gaussian(COUNT, 7, COUNT).map((value) => value * 0.01);
const next = base.map((value, i) => value + (drift[i] ?? 0));
/** Second moments: no element is negative, many are tiny. */
const squares = next.map((value) => value * value);
const squaresBefore = base.map((value) => value * value);

const valuesOf = (dtype: Type, bytes: Uint8Array): Float64Array => {
  const values = new Float64Array(bytes.length / (dtype === 'f32' ? 4 : 2));
  decodeElements(dtype, bytes, values.length, values);
  return values;
};

/** The chunk as it is stored, and as it is read back: what the encoder leaves in the bench. */
function lossy(dtype: Type, method: LossyMethod, raw: Uint8Array, before: Uint8Array) {
  bench.raw.bytes.set(raw);
  bench.base.bytes.set(before);
  const encoded = encodeLossy(bench, dtype, raw.length, method, codecs);
  const result = bench.raw.bytes.slice(0, raw.length);
  expectBytes(decode(dtype, encoded, raw.length, before), result, CODEC_NAMES.get(encoded.codec));
  return { ...encoded, bytes: encoded.bytes.slice(), result };
}

/** Of values as they are near `x`: half a unit in the last place. */
const half = (dtype: Type, x: number): number => {
  const [digits, least] = { f32: [24, -149], bf16: [8, -133], f16: [11, -24] }[dtype] as [number, number];
  return 2 ** Math.max(least - 1, Math.floor(Math.log2(Math.abs(x) || 2 ** -200)) - digits);
};

describe.each(METHODS)('%s', (method) => {
  it.each(TYPES)('keeps %s within the rounding of its differences', (dtype) => {
    for (const [now, before] of [
      [next, base],
      [squares, squaresBefore],
    ] as const) {
      const [raw, from] = [bytesAs(dtype, now), bytesAs(dtype, before)];
      const { result, codec } = lossy(dtype, method, raw, from);
      if (dtype === 'f32') expect(CODEC_NAMES.get(codec)).toBe(method);
      const [wanted, start, found] = [raw, from, result].map((bytes) => valuesOf(dtype, bytes));
      if (!wanted || !start || !found) throw new Error('nothing to compare');
      for (let i = 0; i < COUNT; i++) {
        const [w = 0, s = 0, f = 0] = [wanted[i], start[i], found[i]];
        const group = Math.floor(i / 1024) * 1024;
        let largest = 0;
        for (let k = group; k < Math.min(COUNT, group + 1024); k++)
          largest = Math.max(largest, Math.abs((wanted[k] ?? 0) - (start[k] ?? 0)));
        // What would become negative goes up by a step.
        const bound =
          method === 'bf16-delta'
            ? Math.abs(w - s) * 2 ** -8
            : (largest / 127) * (w < largest / 127 ? 1.5 : 0.5);
        const rounding = half(dtype, f) + 4 * half('f32', Math.max(Math.abs(f), largest));
        expect(Math.abs(f - w), `element ${i}: ${s} to ${w}`).toBeLessThanOrEqual(bound * 1.001 + rounding);
        if (w >= 0) expect(f).toBeGreaterThanOrEqual(0);
      }
    }
  });

  it('takes a part of what is exact', () => {
    const [raw, from] = [bytesAs('f32', next), bytesAs('f32', base)];
    const { bytes } = lossy('f32', method, raw, from);
    expect(bytes.length).toBeLessThan(raw.length * (method === 'bf16-delta' ? 0.42 : 0.26));
  });

  it('says what comes out before it is stored', () => {
    for (const dtype of TYPES) {
      const [raw, from] = [bytesAs(dtype, next), bytesAs(dtype, base)];
      expectBytes(roundChunk(dtype, method, raw, from)?.result, lossy(dtype, method, raw, from).result);
    }
  });

  it.each([
    ['NaN', NaN],
    ['infinity', Infinity],
    ['a difference past the largest number', 3.4e38],
  ])('leaves a chunk exact that has %s, in it or in the base', (_, odd) => {
    for (const [now, before] of [
      [next.with(77, odd), base.with(77, -Math.abs(odd))],
      [next, base.with(4999, odd === 3.4e38 ? NaN : odd)],
      [next.with(0, odd), base.with(0, -Math.abs(odd))],
    ] as const) {
      const [raw, from] = [bytesAs('f32', now), bytesAs('f32', before)];
      expect(roundChunk('f32', method, raw, from)).toBe(undefined);
      const { result, codec } = lossy('f32', method, raw, from);
      expectBytes(result, raw);
      expect(CODEC_NAMES.get(codec)).not.toBe(method);
    }
  });

  it('of a chunk that did not change is exact, of tiny differences too', () => {
    for (const dtype of TYPES) {
      const from = bytesAs(dtype, base);
      expectBytes(lossy(dtype, method, from, from).result, from);
    }
    const tiny = Float64Array.from({ length: 100 }, (_, i) => i * 2 ** -149);
    const zeros = new Float64Array(100);
    const { result } = lossy('f32', method, bytesAs('f32', tiny), bytesAs('f32', zeros));
    for (const [i, value] of valuesOf('f32', result).entries())
      expect(Math.abs(value - (tiny[i] ?? 0))).toBeLessThanOrEqual(100 * 2 ** -149);
  });

  it('reads stored codes of any kind, and none of other types', () => {
    const raw = bytesAs('f32', next);
    const { codec, bytes } = lossy('f32', method, raw, bytesAs('f32', base));
    for (const dtype of ['u8', 'i32', 'f64', 'f8_e5m2'] as const)
      expect(decode(dtype, { codec, bytes }, raw.length, raw)).toBe(undefined);
    const odd = bytes.slice();
    odd.fill(0xff, 0, 20); // scales that are no numbers, or methods of planes that are none
    const found = decode('f32', { codec, bytes: odd }, raw.length, raw);
    expect(found === undefined).toBe(method === 'bf16-delta');
  });
});

it('only floats of 16 and 32 bits are rounded', () => {
  expect(DTYPES.filter(canBeLossy).sort()).toEqual([...TYPES].sort());
});
