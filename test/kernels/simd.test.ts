import { describe, expect, it } from 'vitest';
import { byteHistogram, entropyBits } from '../../src/kernels/histogram.js';
import * as plainBytes from '../../src/kernels/reference/bytes.js';
import {
  castBf16ToF32,
  castF16ToF32,
  castF32ToBf16,
  castF32ToF16,
} from '../../src/kernels/reference/casts.js';
import { blockDifference } from '../../src/kernels/reference/compare.js';
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
