import * as fs from 'node:fs';
import { expect, it } from 'vitest';
import { arena } from '../../src/kernels/wasm.js';

/** Constants of the kernels that are addresses of the arena. */
const text = fs.readFileSync(new URL('../../src/kernels/assembly/residual-work.ts', import.meta.url), 'utf8');
const fixed = [...text.matchAll(/const ((?:READ|WRITE)_\w+): usize = (\d+);/g)].map(
  ([, name = '', at]) => [name, Number(at)] as const,
);

it('what kernels keep at constant addresses lies between the CRC’s room and the slots', () => {
  const { crcWork, slots } = arena();
  expect(fixed.map(([name]) => name)).toContain('READ_VALUES');
  for (const [name, at] of fixed) {
    expect(at, name).toBeGreaterThanOrEqual(Math.max(crcWork + (20 << 10) + 64, 800 << 10));
    expect(at, name).toBeLessThanOrEqual((960 << 10) - 4096);
  }
  expect(slots[0]?.at).toBeGreaterThanOrEqual(960 << 10);
});
