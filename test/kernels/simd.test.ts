import { describe, expect, it } from 'vitest';
import { byteHistogram, entropyBits } from '../../src/kernels/histogram.js';
import { rowProducts } from '../../src/kernels/quantize/row-products.js';
import * as plainBytes from '../../src/kernels/reference/bytes.js';
import {
  castBf16ToF32,
  castF16ToF32,
  castF32ToBf16,
  castF32ToF16,
} from '../../src/kernels/reference/casts.js';
import { blockDifference } from '../../src/kernels/reference/compare.js';
import { rowProductsReference } from '../../src/kernels/reference/products.js';
import { blockStatistics } from '../../src/kernels/reference/statistics.js';
import { arena } from '../../src/kernels/wasm.js';
import { bytesOf, floats, KINDS, LENGTHS } from './samples.js';

const here = arena();
const plainCasts = { castBf16ToF32, castF16ToF32, castF32ToBf16, castF32ToF16 };

describe.each(KINDS)('SIMD kernels equal their references on %s', (kind) => {
  const cases = LENGTHS.map((count) => floats(kind, count, count + 1));

  it.each(['castF32ToBf16', 'castF32ToF16'] as const)('%s', (name) => {
    for (const values of cases) {
      const expected = new Uint8Array(values.length * 2);
      plainCasts[name](bytesOf(values), expected, values.length);
      here.slot(0).bytes.set(bytesOf(values));
      here.kernels[name](here.slot(0).at, here.slot(1).at, values.length);
      expect(Buffer.compare(here.slot(1).bytes.subarray(0, expected.length), expected)).toBe(0);
    }
  });

  it.each(['statisticsF32', 'statisticsBf16', 'statisticsF16'] as const)('%s', (name) => {
    for (const values of cases) {
      let bytes = bytesOf(values);
      const widened = new Float32Array(values);
      if (name !== 'statisticsF32') {
        const [narrow, widen] =
          name === 'statisticsF16' ? [castF32ToF16, castF16ToF32] : [castF32ToBf16, castBf16ToF32];
        bytes = new Uint8Array(values.length * 2);
        narrow(bytesOf(values), bytes, values.length);
        widen(bytes, bytesOf(widened), values.length);
      }
      const expected = blockStatistics(widened, values.length);
      here.slot(0).bytes.fill(0xa5);
      here.slot(0).bytes.set(bytes);
      here.kernels[name](here.slot(0).at, values.length, here.results.at);
      const [shift, sum, squares, min, max, zeros, nan, inf] = here.results.values;
      expect({ shift, sum, squares, min, max, zeros, nan, inf }).toEqual(expected);
    }
  });

  it('compareF32', () => {
    for (const values of cases) {
      const count = values.length;
      for (const other of [values, floats(kind, count, count + 2), floats('edges', count, 9)]) {
        const expected = blockDifference(values, other, count);
        here.slot(0).bytes.fill(0xa5);
        here.slot(1).bytes.fill(0x5a);
        here.slot(0).bytes.set(bytesOf(values));
        here.slot(1).bytes.set(bytesOf(other));
        here.kernels.compareF32(here.slot(0).at, here.slot(1).at, count, here.results.at);
        const [bits, changed, broken, maxAbs, maxRel, error, aa, bb, needed] = here.results.values;
        expect({ changed, broken, maxAbs, maxRel, needed, error, aa, bb }).toEqual(expected);
        const x = new Uint32Array(values.buffer);
        const y = new Uint32Array(other.buffer);
        expect(bits).toBe(x.filter((code, i) => code !== y[i]).length);
      }
    }
  });

  it('byte order and byte counts', () => {
    for (const values of cases) {
      const all = bytesOf(values);
      expect(byteHistogram(all)).toEqual(Float64Array.from(plainBytes.byteHistogram(all)));
      for (const width of [2, 4, 8] as const) {
        const bytes = all.slice(0, all.length - (all.length % width));
        const swapped = bytes.slice();
        plainBytes.byteswap(swapped, width);
        here.slot(0).bytes.set(bytes);
        const name = ({ 2: 'byteswap16', 4: 'byteswap32', 8: 'byteswap64' } as const)[width];
        here.kernels[name](here.slot(0).at, here.slot(0).at, bytes.length);
        expect(Buffer.compare(here.slot(0).bytes.subarray(0, bytes.length), swapped)).toBe(0);
      }
    }
  });
});

describe('all 65,536 codes', () => {
  const codes = Uint16Array.from({ length: 65536 }, (_, code) => code);

  it.each([
    ['castF16ToF32', 'castF32ToF16'],
    ['castBf16ToF32', 'castF32ToBf16'],
  ] as const)('%s equals its reference and %s brings every code back', (widen, narrow) => {
    const expected = new Uint8Array(65536 * 4);
    plainCasts[widen](bytesOf(codes), expected, 65536);
    here.slot(0).bytes.set(bytesOf(codes));
    here.kernels[widen](here.slot(0).at, here.slot(1).at, 65536);
    expect(Buffer.compare(here.slot(1).bytes.subarray(0, expected.length), expected)).toBe(0);
    here.kernels[narrow](here.slot(1).at, here.slot(2).at, 65536);
    expect(Buffer.compare(here.slot(2).bytes.subarray(0, 131072), bytesOf(codes))).toBe(0);
  });
});

describe('entropy', () => {
  it('is 0 for one value, 8 for all equally often', () => {
    expect(entropyBits(byteHistogram(new Uint8Array(100)))).toBe(0);
    expect(entropyBits(byteHistogram(Uint8Array.from({ length: 512 }, (_, i) => i)))).toBe(8);
    expect(entropyBits(new Float64Array(256))).toBe(0);
  });
});

describe('products of rows', () => {
  // Longer than what is multiplied at a time; numbers of rows that are no multiples of a tile.
  it.each([
    [1, 1, 1],
    [5, 3, 7],
    [4, 2, 1024],
    [9, 11, 2500],
    [256, 33, 64],
  ])('%i by %i rows of %i', (rowsA, rowsB, length) => {
    const random = (count: number, seed: number): Float64Array =>
      Float64Array.from({ length: count }, (_, i) => (Math.sin(i * 12.9898 + seed) * 43758.5453) % 1);
    const a = { values: random(rowsA * (length + 3) + 2, 1), first: 2, step: length + 3, count: rowsA };
    const b = { values: random(rowsB * length, 2), first: 0, step: length, count: rowsB };
    const found = rowProducts(a, b, length);
    const expected = rowProductsReference(a, b, length);
    expect(found.length).toBe(expected.length);
    if (length <= 1024) expect(found).toEqual(expected);
    else found.forEach((x, i) => void expect(Math.abs(x - (expected[i] ?? 0))).toBeLessThan(1e-12));
  });

  it('are zero where rows have no elements', () => {
    const none = { values: new Float64Array(8), first: 0, step: 1, count: 3 };
    expect(rowProducts(none, none, 0)).toEqual(new Float64Array(9));
  });
});
