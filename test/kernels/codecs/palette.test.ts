import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as reference from '../../../src/kernels/reference/palette.js';
import { expectBytes, fences, paletteDecode, paletteEncode, xorBytes } from './harness.js';
import { COUNTS, edges, noise } from './samples.js';

const WIDTHS = [2, 4, 8] as const;
type Width = (typeof WIDTHS)[number];

function check(bytes: Uint8Array, width: Width, what = ''): void {
  const found = paletteEncode(bytes, width);
  const want = reference.encodePalette(bytes, width);
  expect(found?.values, what).toEqual(want?.values);
  if (!found || !want) return;
  expectBytes(found.indices, want.indices, what);
  expectBytes(paletteDecode(want.values, want.indices, width), bytes, what);
  expectBytes(reference.decodePalette(want.values, want.indices, width), bytes, what);
}

/** Elements of `distinct` values at random places. */
const few = (count: number, width: Width, distinct: number, seed: number): Uint8Array => {
  const values = noise(distinct * width, seed);
  const places = noise(count * 2, seed + 1);
  const out = new Uint8Array(count * width);
  for (let i = 0; i < count; i++) {
    const place = ((places[2 * i] ?? 0) * 256 + (places[2 * i + 1] ?? 0)) % distinct;
    out.set(values.subarray(place * width, (place + 1) * width), i * width);
  }
  return out;
};

describe.each(WIDTHS)('the palette of elements of %d bytes', (width) => {
  it('is that of the reference, and gives them back', () => {
    for (const count of COUNTS)
      for (const distinct of [1, 2, 16, 255, 256, 257, 5000])
        check(few(count, width, distinct, count + distinct), width, `${count} elements, ${distinct} values`);
    check(edges(8000), width, 'edges');
    check(few(2 ** 17 + 3, width, 256, 5), width, 'many');
  });

  it('has 256 values at most', () => {
    const all = (distinct: number): Uint8Array => {
      const out = new Uint8Array(distinct * width);
      for (let i = 0; i < distinct; i++) out.set([i & 255, i >> 8], i * width);
      return out;
    };
    expect(paletteEncode(all(256), width)?.values).toHaveLength(256);
    expect(paletteEncode(all(257), width)).toBe(undefined);
    expect(reference.encodePalette(all(257), width)).toBe(undefined);
  });

  it('of any elements', () => {
    const property = fc.property(fc.array(fc.nat(300), { minLength: 1, maxLength: 600 }), (values) => {
      const bytes = new Uint8Array(values.length * width);
      for (const [i, value] of values.entries()) bytes.set([value & 255, value >> 8], i * width);
      check(bytes, width);
    });
    fc.assert(property, { numRuns: 100, seed: 1 });
  });

  it('has no value for an index past its end', () => {
    const around = fences();
    for (const last of [0, 3, 4, 255]) {
      const indices = Uint8Array.of(0, 1, 2, 3, last);
      const fine = last < 4;
      expect(paletteDecode([5n, 6n, 7n, 8n], indices, width) !== undefined).toBe(fine);
      expect(reference.decodePalette([5n, 6n, 7n, 8n], indices, width) !== undefined).toBe(fine);
    }
    around.check();
  });
});

it('exclusive or is that of the reference', () => {
  for (const count of [0, ...COUNTS]) {
    const [one, other] = [noise(count, count + 1), noise(count, count + 2)];
    expectBytes(xorBytes(one, other), reference.xorBytes(one, other));
  }
});
