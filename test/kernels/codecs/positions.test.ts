import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as reference from '../../../src/kernels/reference/positions.js';
import { mutations, prefixes } from '../../support/mutate.js';
import { random } from '../samples.js';
import {
  countDiffering,
  countNonZero,
  differingPositions,
  expectBytes,
  expectEstimate,
  fences,
  gapsDecode,
  gapsEncode,
  gather,
  scatter,
} from './harness.js';
import { COUNTS, noise, withChanges } from './samples.js';

const WIDTHS = [1, 2, 4, 8] as const;

/** Ascending positions below `count`, each with the chance `share`. */
function some(count: number, share: number, seed: number): number[] {
  const next = random(seed);
  return Array.from({ length: count }, (_, i) => i).filter(() => next() < share);
}

function check(positions: readonly number[], count: number, what = ''): void {
  if (positions.length === 0) return;
  const coded = gapsEncode(positions);
  expectEstimate(coded, what);
  expectBytes(coded.bytes, reference.encodeGaps(positions), what);
  expect(gapsDecode(coded.bytes, positions.length, count), what).toEqual(positions);
}

describe.each(WIDTHS)('where elements of %d bytes differ', (width) => {
  it('is found as the reference finds it, counted, pulled out and put back', () => {
    for (const count of COUNTS)
      for (const share of [0, 0.01, 0.3, 1]) {
        const one = noise(count * width, count);
        const other = withChanges(one, width, share, count + 1);
        const positions = reference.differingPositions(one, other, width);
        expect(differingPositions(one, other, width)).toEqual(positions);
        expect(countDiffering(one, other, width)).toBe(positions.length);
        const change = one.map((byte, i) => byte ^ (other[i] ?? 0));
        expect(countNonZero(change, width)).toBe(positions.length);
        const picked = gather(other, positions, width) ?? new Uint8Array();
        expectBytes(picked, reference.gather(other, positions, width));
        expectBytes(scatter(picked, positions, width, one), other);
        const plain = one.slice();
        reference.scatter(picked, positions, width, plain);
        expectBytes(plain, other);
      }
  });

  it('is not searched far beyond the limit', () => {
    const one = noise(5000 * width);
    const other = one.map((byte) => ~byte);
    const found = differingPositions(one, other, width, 100);
    expect(found.length).toBeGreaterThan(100);
    expect(found.length).toBeLessThanOrEqual(116);
  });
});

describe('gaps', () => {
  it('of every number of positions, near and far', () => {
    for (const n of COUNTS)
      for (const share of [1, 0.5, 0.02]) {
        const count = Math.ceil(n / share);
        const positions = some(count, share, n);
        check(positions, count, `${positions.length} positions`);
        check(
          positions.map((p) => p * 411),
          count * 411,
          `${positions.length} far positions`,
        );
      }
  });

  it('of whole chunks', () => {
    for (const [count, share] of [
      [2 ** 17 + 3, 0.001],
      [2 ** 20, 0.1],
      [2 ** 20, 0.6],
    ] as const)
      check(some(count, share, 7), count, `${share} of ${count}`);
    const near = some(2 ** 22, 0.2, 9);
    check(
      near.filter((p) => p % 40_000 < 9000 + (p % 7)),
      2 ** 22,
      'long gaps among several short ones',
    );
    check(
      near.filter((p) => p % 61 < 5),
      2 ** 22,
      'bursts',
    );
    check(
      Array.from({ length: 2 ** 16 }, (_, i) => i),
      2 ** 16,
      'every element',
    );
    check([0, 2 ** 22 - 1], 2 ** 22, 'the ends of a chunk of 4 MiB');
    check([0, 1, 2, 3, 2 ** 22 - 2, 2 ** 22 - 1], 2 ** 22, 'a far gap among none');
  });

  it('of any positions', () => {
    const positions = fc.uniqueArray(fc.nat(2 ** 22 - 1), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(positions, (list) =>
        check(
          list.sort((a, b) => a - b),
          2 ** 22,
        ),
      ),
      { numRuns: 200, seed: 1 },
    );
  });
});

describe('stored gaps that are none', () => {
  const positions = some(20_000, 0.05, 3);
  const n = positions.length;
  const good = gapsEncode(positions).bytes;

  it('are refused or give ascending positions inside the chunk, and nothing else is written', () => {
    const around = fences();
    let refused = 0;
    const bad = [
      ...prefixes(good, 300),
      ...mutations(good, 1500, 'gaps'),
      ...Array.from({ length: 300 }, (_, seed) => noise(seed * 4, seed + 1)),
    ];
    for (const bytes of bad)
      for (const [many, count] of [
        [n, 20_000],
        [1, 5],
        [5000, 2 ** 22],
        [17_000, 2 ** 22],
      ] as const) {
        const found = gapsDecode(bytes, many, count);
        if (!found) refused++;
        else
          for (const [i, position] of found.entries()) {
            expect(position).toBeLessThan(count);
            if (i > 0) expect(position).toBeGreaterThan(found[i - 1] ?? 0);
          }
      }
    around.check();
    expect(refused).toBeGreaterThan(bad.length * 2);
  });

  it('that lead past the chunk, back, or are cut off are refused, by the reference too', () => {
    for (const decode of [gapsDecode, reference.decodeGaps]) {
      expect(decode(good, n, 20_000)).toEqual(positions);
      expect(decode(good, n, positions.at(-1) ?? 0)).toBe(undefined);
      expect(decode(good.subarray(0, -1), n, 20_000)).toBe(undefined);
      expect(decode(Buffer.concat([good, Uint8Array.of(0)]), n, 20_000)).toBe(undefined);
      expect(decode(good, n - 1, 20_000)).toBe(undefined);
      expect(
        decode(
          gapsEncode([5, 9]).bytes.map((byte, i) => (i === 14 ? 200 : byte)),
          2,
          100,
        ),
      ).toBe(undefined);
      expect(decode(new Uint8Array(), 2, 100)).toBe(undefined);
    }
  });
});
