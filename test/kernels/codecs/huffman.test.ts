import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  codeFor,
  codeLengths,
  codeOf,
  LIMIT,
  loadCode,
  storeCode,
} from '../../../src/kernels/reference/huffman.js';
import { random } from '../samples.js';
import { expectBytes, planeEncode } from './harness.js';

/** The codes that kernels make, seen through a plane that has the counts. */

/** A plane in which symbol `s` stands `counts[s]` times. */
const planeOf = (counts: readonly number[]): Uint8Array =>
  Uint8Array.from(counts.flatMap((count, symbol) => Array.from({ length: count }, () => symbol)));

function check(counts: readonly number[]): void {
  const all = Array.from({ length: 256 }, (_, s) => counts[s] ?? 0);
  const code = codeFor(all);
  const want = storeCode(all, code);
  const { bytes } = planeEncode(planeOf(all));
  if (code.symbols.size > 0) expectBytes(bytes?.subarray(0, want.length), want, counts.join(' '));
  else expect(bytes).toBe(undefined);
}

/** 1 if no bit pattern is left over and none stands for two symbols. */
const kraft = (lengths: Uint8Array): number =>
  lengths.reduce((sum, length) => sum + (length === 0 ? 0 : 2 ** -length), 0);

const fibonacci = [1, 1];
for (let i = 2; i < 22; i++) fibonacci.push((fibonacci[i - 1] ?? 0) + (fibonacci[i - 2] ?? 0));

describe('code lengths', () => {
  it('are those of the textbook', () => {
    expect([...codeLengths([5, 9, 12, 13, 16, 45])]).toEqual([4, 4, 3, 3, 3, 1]);
    expect([...codeLengths([1, 1, 1, 1])]).toEqual([2, 2, 2, 2]);
    expect([...codeLengths([0, 7, 0])]).toEqual([0, 0, 0]);
    expect([...codeLengths([0, 7, 1])]).toEqual([0, 1, 1]);
    expect([...codeLengths([])]).toEqual([]);
  });

  it('stop at 11 bits', () => {
    const lengths = codeLengths(fibonacci);
    expect(Math.max(...lengths)).toBe(LIMIT);
    expect(kraft(lengths)).toBe(1);
    check(fibonacci);
    check([...fibonacci].reverse());
    check([...Array.from({ length: 250 }, () => 1), 60000, 90000]);
  });

  it('are the same in kernel and reference, and complete codes', () => {
    const next = random(4);
    for (let i = 0; i < 60; i++) {
      const symbols = 1 + Math.floor(next() * 256);
      const steep = next() * 12;
      check(Array.from({ length: symbols }, () => Math.floor(next() * 2 ** (next() * steep))));
    }
    const property = fc.property(fc.array(fc.nat(40), { maxLength: 256 }), (counts) => {
      check(counts);
      const lengths = codeLengths(counts);
      expect(kraft(lengths)).toBe(counts.filter((count) => count > 0).length < 2 ? 0 : 1);
    });
    fc.assert(property, { numRuns: 150, seed: 2 });
  });
});

describe('stored codes', () => {
  it('come back', () => {
    const property = fc.property(fc.array(fc.nat(9), { minLength: 1, maxLength: 256 }), (counts) => {
      const code = codeFor(counts);
      const stored = storeCode(counts, code);
      if (counts.every((count) => count === 0)) return;
      expect(loadCode(stored, counts.length)).toEqual({ code, taken: stored.length });
    });
    fc.assert(property, { numRuns: 300, seed: 3 });
  });

  it('that are none are refused', () => {
    for (const bytes of [[], [1], [2, 1], [0, 92], [0, 3, 0x11], [0, 3, 0x11, 0x11], [0, 1, 0xc1]])
      expect(loadCode(Uint8Array.from(bytes), 92), bytes.join(' ')).toBe(undefined);
    expect(codeOf(Uint8Array.of(1, 1, 1))).toBe(undefined);
  });
});
