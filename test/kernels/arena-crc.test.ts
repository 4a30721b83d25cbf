import { describe, expect, it } from 'vitest';
import { crc32Plain } from '../../src/io/crc32.js';
import { arenaCrc32 } from '../../src/kernels/arena-crc.js';
import { arena } from '../../src/kernels/wasm.js';

/** x^(8·n) modulo the polynomial of CRC-32, reflected: bit 31 is x^0. */
function powerOfByte(n: number): number {
  let power = 0x80000000;
  for (let i = 0; i < 8 * n; i++) power = power & 1 ? (power >>> 1) ^ 0xedb88320 : power >>> 1;
  return power >>> 0;
}

describe('CRC-32 in the arena', () => {
  it('folds by a multiple of the polynomial', () => {
    expect([0, 1837, 2091, 4018].map(powerOfByte).reduce((sum, one) => sum ^ one)).toBe(0);
  });

  it.each([16 << 10, (16 << 10) + 1, (16 << 10) + 63, 32768, 32768 + 64, 40001, 100_003, 1 << 20])(
    'is that of the plain loop over %i bytes, from any seed and address',
    (length) => {
      const { bytes } = arena().slot(1);
      let state = length;
      for (let at = 0; at < bytes.length; at++) {
        state = Math.imul(state, 1664525) + 1013904223;
        bytes[at] = state >>> 24;
      }
      for (const [from, seed] of [
        [0, 0],
        [0, 0xffffffff],
        [3, 0x12345678],
      ] as const) {
        const part = bytes.subarray(from, from + Math.min(length, bytes.length - from));
        expect(arenaCrc32(part, seed)).toBe(crc32Plain(part, seed));
      }
    },
  );

  it('sums bytes that lie elsewhere, and few', () => {
    const elsewhere = new Uint8Array(50_000).map((_, i) => i * 7);
    expect(arenaCrc32(elsewhere, 5)).toBe(crc32Plain(elsewhere, 5));
    const few = arena().slot(0).bytes.subarray(10, 1000);
    expect(arenaCrc32(few)).toBe(crc32Plain(few));
  });

  it('notices any bit', () => {
    const part = arena().slot(2).bytes.subarray(0, 20_000);
    part.fill(9);
    const before = arenaCrc32(part);
    for (const at of [0, 1, 4017, 4018, 15_981, 15_982, 17_000, 19_999]) {
      part[at] = 8;
      expect(arenaCrc32(part)).not.toBe(before);
      part[at] = 9;
    }
    expect(arenaCrc32(part)).toBe(before);
  });
});
