import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byteHistogram } from '../../../src/kernels/reference/bytes.js';
import * as reference from '../../../src/kernels/reference/fine-planes.js';
import { splitPlanes } from '../../../src/kernels/reference/planes.js';
import { mutations, prefixes } from '../../support/mutate.js';
import { decode, encode, roundTrip } from './chunks.js';
import { expectBytes, fences, fineJoin, fineSplit } from './harness.js';
import { bytesAs, COUNTS, edges, gaussian, noise } from './samples.js';

/** The method of the highest plane of a plane set. */
const FINE = 4;

function check(high: Uint8Array, low: Uint8Array, what = ''): void {
  const found = fineSplit(high, low);
  const expected = reference.splitFine(high, low);
  expect(found?.floor, what).toBe(expected?.floor);
  if (!found || !expected) return;
  expectBytes(found.symbols, expected.symbols, what);
  expectBytes(found.packed, expected.packed, what);
  const back = fineJoin(expected.symbols, found.floor, found.packed);
  expectBytes(back.high, high, what);
  expectBytes(back.low, low, what);
}

const bf16 = (count: number, zeros = 0): Uint8Array =>
  bytesAs(
    'bf16',
    gaussian(count, count + 1).map((x, i) => (zeros > 0 && i % zeros === 0 ? 0 : x)),
  );

describe('the two highest planes as symbols of ten bits', () => {
  it('are those of the reference at every length, and go back', () => {
    for (const count of [0, ...COUNTS])
      for (const [kind, bytes] of [
        bf16(count),
        bf16(count, 5),
        noise(count * 2, count),
        new Uint8Array(count * 2),
        noise(count * 2, count).map((byte) => (byte & 0x8f) | 0x30),
        edges(Math.ceil(count / 2), count).slice(0, count * 2),
      ].entries()) {
        const planes = splitPlanes(bytes, 2);
        check(planes.slice(count), planes.slice(0, count), `${count} elements of kind ${kind}`);
      }
  });

  it('of 255 above the floor are taken, of one more not', () => {
    for (const floor of [0, 1, 500, 768]) {
      const tops = [floor + 1, floor + 255, 0, floor + 7];
      const planes = (list: readonly number[]): [Uint8Array, Uint8Array] => [
        Uint8Array.from(list, (top) => top >>> 2),
        Uint8Array.from(list, (top) => ((top & 3) << 6) | 33),
      ];
      expect(fineSplit(...planes(tops))?.floor).toBe(floor);
      check(...planes(tops));
      if (floor + 256 < 1024) expect(fineSplit(...planes([...tops, floor + 256]))).toBe(undefined);
      check(...planes([...tops, floor + 256]));
    }
  });

  it('of anything, and symbols of any floor stay in two bytes', () => {
    const both = fc.array(fc.tuple(fc.nat(255), fc.nat(255)), { maxLength: 100 });
    fc.assert(
      fc.property(both, fc.nat(1023), (list, floor) => {
        const high = Uint8Array.from(list, ([byte]) => byte);
        const low = Uint8Array.from(list, ([, byte]) => byte);
        check(high, low);
        const packed = noise(Math.ceil((high.length * 6) / 8), floor + 1);
        const found = fineJoin(high, floor, packed);
        const expected = reference.joinFine({ floor, symbols: high, packed });
        expectBytes(found.high, expected.high);
        expectBytes(found.low, expected.low);
      }),
      { numRuns: 200, seed: 1 },
    );
  });
});

describe('weights without a base', () => {
  const entropyBits = (counts: Uint32Array): number => {
    const total = counts.reduce((sum, count) => sum + count, 0);
    return counts.reduce((sum, n) => (n === 0 ? sum : sum - n * Math.log2(n / total)), 0);
  };

  it.each([
    ['bf16', 2],
    ['f32', 4],
  ] as const)('of %s take less than the entropy of their exponents allows', (dtype, width) => {
    const raw = bytesAs(dtype, gaussian((1 << 20) / width));
    const { name, bytes } = roundTrip(dtype, raw);
    expect([name, bytes[0]]).toEqual(['planes-huffman', FINE]);
    const count = raw.length / width;
    const exponents = splitPlanes(raw, width).slice((width - 1) * count);
    const bound = entropyBits(byteHistogram(exponents)) / 8 + (width - 1) * count;
    expect(bytes.length).toBeLessThan(bound);
  });

  it('with zeros, and of too many exponents, come back', () => {
    for (const count of [30_001, 70_001]) {
      expect(roundTrip('bf16', bf16(count, 400)).bytes[0]).toBe(FINE);
      const wide = gaussian(count).map((x, i) => x * 2 ** -(i % 90));
      expect(roundTrip('bf16', bytesAs('bf16', wide)).bytes[0]).not.toBe(FINE);
    }
    // What a sample does not show: one that is far below all others.
    const values = gaussian(70_001);
    values[300] = 2 ** -120;
    roundTrip('bf16', bytesAs('bf16', values));
    roundTrip('f32', bytesAs('f32', values));
  });
});

describe('stored symbols that are none', () => {
  const raw = bf16(30_000);
  const good = encode('bf16', raw);
  const codec = 3;
  expect([good.codec, good.bytes[0], good.bytes[5]]).toEqual([codec, FINE, 5]);

  it('are refused or give other bytes, and nothing else is written', () => {
    const around = fences();
    let refused = 0;
    const bad = [...prefixes(good.bytes, 100), ...mutations(good.bytes, 300, 'fine')];
    for (const bytes of bad)
      for (const length of [2, 4000, raw.length, 1 << 20])
        if (!decode('bf16', { codec, bytes }, length)) refused++;
    around.check();
    expect(refused).toBeGreaterThan(bad.length * 2);
  });

  it('are none of bytes, not below the highest plane, and not without the entry of the next one', () => {
    const changed = (...changes: readonly (readonly [at: number, byte: number])[]): Uint8Array => {
      const bytes = good.bytes.slice();
      for (const [at, byte] of changes) bytes[at] = byte;
      return bytes;
    };
    const refused = (bytes: Uint8Array, dtype: 'bf16' | 'u8' = 'bf16'): void =>
      expect(decode(dtype, { codec, bytes }, raw.length)).toBe(undefined);
    refused(good.bytes, 'u8');
    refused(changed([5, 0]));
    refused(changed([5, 3]));
    refused(changed([0, 2]));
    refused(changed([0, 5], [5, 4]));
    refused(changed([11, 4])); // a floor of 1024 and more
    refused(good.bytes.slice(0, 10));
    expectBytes(decode('bf16', { codec, bytes: changed() }, raw.length), raw);
  });
});
