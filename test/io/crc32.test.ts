import { describe, expect, it } from 'vitest';
import { crc32, crc32Combine, crc32Plain } from '../../src/io/crc32.js';
import { noise, text } from './zip-support.js';

describe('crc32', () => {
  it('is the check value of the standard, natively and plainly', () => {
    expect(crc32(text('123456789'))).toBe(0xcbf43926);
    expect(crc32Plain(text('123456789'))).toBe(0xcbf43926);
    expect(crc32Plain(text('6789'), crc32(text('12345')))).toBe(0xcbf43926);
  });
  it('combines the sums of pieces', () => {
    const all = noise(5000);
    for (const cut of [0, 1, 7, 2500, 4999, 5000])
      expect(crc32Combine(crc32(all.subarray(0, cut)), crc32(all.subarray(cut)), 5000 - cut)).toBe(
        crc32(all),
      );
  });
});
