import { describe, expect, it } from 'vitest';
import { rectifiedMean } from '../../src/graph/channels/norm-means.js';
import { outputVariances, reconstructed, residualVariances } from '../../src/kernels/reconstruct.js';

/** XᵀX with a column of ones. */
function gramOf(rows: readonly (readonly number[])[]): Float64Array {
  const size = (rows[0]?.length ?? 0) + 1;
  const gram = new Float64Array(size * size);
  for (const row of rows) {
    const x = [...row, 1];
    for (let i = 0; i < size; i++)
      for (let j = 0; j < size; j++)
        gram[i * size + j] = (gram[i * size + j] ?? 0) + (x[i] ?? 0) * (x[j] ?? 0);
  }
  return gram;
}

/** A sequence that looks random and is the same each time. */
function noise(count: number, seed: number): number[] {
  let state = seed;
  return Array.from({ length: count }, () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647 - 0.5;
  });
}

const a = noise(400, 7);
const b = noise(400, 11);
const matrix = Float64Array.of(1, 2, 3, -1, 0.5, 4);

describe('reconstructed', () => {
  it('puts what follows from the rest into the rest and the bias', () => {
    // The third column is twice the first and 5 more: damping leaves a per cent of it undone.
    const rows = a.map((x, i) => [x * 10, (b[i] ?? 0) * 10, x * 20 + 5]);
    const fed = { matrix, outputs: 2, columns: 3, gram: gramOf(rows) };
    const found = reconstructed(fed, [0, 1], true);
    const expected = [1 + 3 * 2, 2, 0, -1 + 4 * 2, 0.5, 0];
    found?.matrix.forEach((x, i) => {
      expect(Math.abs(x - (expected[i] ?? 0))).toBeLessThan(0.1);
    });
    expect(found?.bias[0]).toBeCloseTo(15, 0);
    expect(found?.bias[1]).toBeCloseTo(20, 0);
  });

  it('leaves everything as it is where nothing but zeros goes', () => {
    const rows = a.map((x, i) => [x, b[i] ?? 0, 0]);
    const found = reconstructed({ matrix, outputs: 2, columns: 3, gram: gramOf(rows) }, [0, 1], true);
    expect([...(found?.matrix ?? [])]).toEqual([1, 2, 0, -1, 0.5, 0]);
    expect([...(found?.bias ?? [])]).toEqual([0, 0]);
  });

  it('knows when samples say nothing', () => {
    const nothing = { matrix, outputs: 2, columns: 3, gram: gramOf([[0, 0, 0]]) };
    expect(reconstructed(nothing, [0, 1], true)).toBeUndefined();
  });
});

describe('what is fed in the place of columns', () => {
  it('is solved towards what the whole model computes', () => {
    // The first column comes in at half its size and 0.3 more; the others go.
    const rows = a.map((x, i) => [x * 10, (b[i] ?? 0) * 10, x * 20, x * 5 + 0.3]);
    const fed = { matrix, outputs: 2, columns: 3, gram: gramOf(rows) };
    const found = reconstructed(fed, [0], true, [3]);
    // 1·x + 3·2x by half of x: 14; −1·x + 4·2x: 14.
    expect(found?.matrix[0]).toBeCloseTo(14, 0);
    expect(found?.matrix[3]).toBeCloseTo(14, 0);
    expect([1, 2, 4, 5].map((i) => found?.matrix[i])).toEqual([0, 0, 0, 0]);
    expect(Math.abs((found?.bias[0] ?? 0) + 14 * 0.3)).toBeLessThan(0.2);
  });
});

describe('residualVariances', () => {
  it('are what the rest cannot make up for', () => {
    // The third column follows from the first; the second from none.
    const rows = a.map((x, i) => [x * 10, (b[i] ?? 0) * 10, x * 20 + 5]);
    const fed = { matrix, outputs: 2, columns: 3, gram: gramOf(rows) };
    const [third = 0, second = 0, first = 0] = residualVariances(fed, [2, 1, 0], true) ?? [];
    const [alone = 0, , both = 0] = [1, 0, 2].map((unit) => outputVariances(fed, [0, 1, 2], 3)[unit]);
    expect(third / both).toBeLessThan(0.05);
    expect(second / alone).toBeGreaterThan(0.95);
    expect(second / alone).toBeLessThan(1.1);
    // All together are the variance of the outputs: those of x are 7 and 7 times 10.
    const variance = rows.reduce((sum, [x = 0]) => sum + x * x, 0) / rows.length;
    expect(first / (2 * 49 * variance)).toBeGreaterThan(0.9);
    expect(first / (2 * 49 * variance)).toBeLessThan(1.1);
  });

  it('of what was never other than zero are none', () => {
    const rows = a.map((x, i) => [x, b[i] ?? 0, 0]);
    const fed = { matrix, outputs: 2, columns: 3, gram: gramOf(rows) };
    expect(residualVariances(fed, [2, 1, 0], true)?.[0]).toBe(0);
  });
});

describe('outputVariances', () => {
  it('are those of what a unit adds to the outputs', () => {
    const rows = a.map((x, i) => [x + 9, b[i] ?? 0, 3]);
    const fed = { matrix, outputs: 2, columns: 3, gram: gramOf(rows) };
    const found = outputVariances(fed, [0, 0, 1], 2);
    const variance = (values: readonly number[]): number => {
      const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
      return values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length;
    };
    const both = [0, 1].map((o) =>
      variance(rows.map(([x = 0, y = 0]) => x * (matrix[o * 3] ?? 0) + y * (matrix[o * 3 + 1] ?? 0))),
    );
    expect(found[0]).toBeCloseTo((both[0] ?? 0) + (both[1] ?? 0), 6);
    expect(found[1]).toBeCloseTo(0, 9);
  });
});

describe('rectifiedMean', () => {
  it('is that of a normal distribution without its negative half', () => {
    expect(rectifiedMean(0, 1)).toBeCloseTo(1 / Math.sqrt(2 * Math.PI), 6);
    expect(rectifiedMean(10, 1)).toBeCloseTo(10, 6);
    expect(rectifiedMean(-10, 1)).toBeCloseTo(0, 6);
    // By adding it up.
    let sum = 0;
    for (let x = 0; x < 8; x += 1e-4) sum += x * Math.exp(-((x - 0.7) ** 2) / (2 * 1.3 ** 2)) * 1e-4;
    expect(rectifiedMean(0.7, 1.3)).toBeCloseTo(sum / (1.3 * Math.sqrt(2 * Math.PI)), 4);
  });
  it('without a deviation is the value itself', () => {
    expect([rectifiedMean(2, 0), rectifiedMean(-2, 0)]).toEqual([2, 0]);
  });
});
