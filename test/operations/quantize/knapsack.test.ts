import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Choice, frontier } from '../../../src/operations/quantize/knapsack.js';

/** Every combination, the plain way. */
function best(items: readonly (readonly Choice[])[], budget: number): number {
  const [first, ...rest] = items;
  if (!first) return budget < 0 ? Number.POSITIVE_INFINITY : 0;
  return Math.min(...first.map(({ bytes, loss }) => loss + best(rest, budget - bytes)));
}

const choice = fc.record({ bytes: fc.nat(400), loss: fc.nat(50) });
const items = fc.array(fc.array(choice, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 5 });

describe('the frontier', () => {
  it('has the least loss of all combinations for every budget', () => {
    fc.assert(
      fc.property(items, fc.nat(2000), (list, budget) => {
        const found = frontier(list).find(({ bytes }) => bytes <= budget);
        expect(found?.loss ?? Number.POSITIVE_INFINITY).toBe(best(list, budget));
      }),
      { numRuns: 300 },
    );
  });
  it('says of every point exactly what it takes and costs, and no point is better than another', () => {
    fc.assert(
      fc.property(items, (list) => {
        const points = frontier(list);
        for (const { bytes, loss, choices } of points) {
          expect(choices).toHaveLength(list.length);
          const picked = choices.map((at, i) => list[i]?.[at] ?? { bytes: Number.NaN, loss: Number.NaN });
          expect(picked.reduce((sum, one) => sum + one.bytes, 0)).toBe(bytes);
          expect(picked.reduce((sum, one) => sum + one.loss, 0)).toBe(loss);
        }
        points.slice(1).forEach((point, i) => {
          expect(point.bytes).toBeLessThan(points[i]?.bytes ?? 0);
          expect(point.loss).toBeGreaterThan(points[i]?.loss ?? 0);
        });
      }),
    );
  });
  it('stays exact in what it says where sizes are rounded to units', () => {
    const list = Array.from({ length: 40 }, (_, i) => [
      { bytes: 4_000_001 + i * 1013, loss: 0 },
      { bytes: 1_000_003 + i * 257, loss: (i * 7919) % 101 },
      { bytes: 500_009 + i * 131, loss: 100 + ((i * 104_729) % 211) },
    ]);
    const points = frontier(list);
    expect(points[0]?.loss).toBe(0);
    expect(points.at(-1)?.bytes).toBe(list.reduce((sum, item) => sum + (item[2]?.bytes ?? 0), 0));
    expect(points.length).toBeGreaterThan(100);
  });
});
