import * as fs from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { symmetricEigen } from '../../src/kernels/factor/eigen.js';
import {
  factorsOf,
  product,
  rankForEnergy,
  spectrumOf,
  transposed,
} from '../../src/kernels/factor/truncated.js';
import { goldenArrays } from './npz.js';

interface Entry {
  readonly frobenius_error?: number;
  readonly energy?: number;
  readonly rank_for_energy?: Record<string, number>;
}

const folder = new URL('../../fixtures/numerics/svd/', import.meta.url);
const arrays = goldenArrays(new URL('svd.npz', folder));
const { entries }: { entries: Record<string, Entry> } = JSON.parse(
  fs.readFileSync(new URL('svd.json', folder), 'utf8'),
);
const [ROWS, COLUMNS] = [40, 28];
const f32 = (key: string): Float64Array => Float64Array.from(new Float32Array(arrays.get(key)!.buffer));

const distance = (a: Float64Array, b: Float64Array): number =>
  Math.sqrt(a.reduce((sum, x, i) => sum + (x - b[i]!) ** 2, 0));

describe.each(['gauss', 'lowrank5', 'decay'])('truncated SVD of %s', (name) => {
  const matrix = f32(name);
  const spectrum = spectrumOf(matrix, ROWS, COLUMNS);

  it('has the singular values of numpy', () => {
    const expected = new Float64Array(arrays.get(`${name}.singular_values`)!.buffer);
    const largest = expected[0]!;
    for (const [i, value] of expected.entries())
      expect(Math.abs(spectrum.values[i]! - value)).toBeLessThan(largest * 1e-8);
  });

  it('finds the ranks of energies', () => {
    for (const [energy, rank] of Object.entries(entries[name]!.rank_for_energy!))
      expect(rankForEnergy(spectrum, Number(energy))).toBe(rank);
  });

  it.each([1, 4, 8, 16])('is the nearest matrix of rank %i, from both sides', (rank) => {
    const entry = entries[`${name}.rank${rank}`]!;
    const { left, right, energy } = factorsOf(matrix, ROWS, COLUMNS, spectrum, rank);
    const near = product(left, ROWS, rank, right, COLUMNS);
    expect(distance(near, matrix)).toBeCloseTo(entry.frobenius_error!, 6);
    expect(energy).toBeCloseTo(entry.energy!, 8);
    const largest = spectrum.values[0]!;
    const approx = f32(`${name}.rank${rank}.approx`);
    for (const [i, value] of near.entries())
      expect(Math.abs(value - approx[i]!)).toBeLessThan(largest * 1e-6);
    const turned = transposed(matrix, ROWS, COLUMNS);
    const flat = factorsOf(turned, COLUMNS, ROWS, spectrumOf(turned, COLUMNS, ROWS), rank);
    const back = transposed(product(flat.left, COLUMNS, rank, flat.right, ROWS), COLUMNS, ROWS);
    expect(distance(back, near)).toBeLessThan(largest * 1e-6);
  });
});

describe('eigenvectors', () => {
  it('are orthonormal, and multiples of themselves under the matrix, with equal and zero values too', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.array(fc.oneof(fc.integer({ min: -3, max: 3 }), fc.double({ min: -9, max: 9, noNaN: true })), {
          minLength: 1,
          maxLength: 78,
        }),
        (n, values) => {
          const matrix = new Float64Array(n * n);
          let size = 1;
          for (let i = 0, k = 0; i < n; i++)
            for (let j = 0; j <= i; j++, k++) {
              const value = values[k % values.length]!;
              matrix[i * n + j] = value;
              matrix[j * n + i] = value;
              size = Math.max(size, Math.abs(value));
            }
          const eigen = symmetricEigen(matrix.slice(), n);
          for (let a = 0; a < n; a++) {
            const vector = eigen.vectors.subarray(a * n, (a + 1) * n);
            if (a > 0) expect(eigen.values[a]!).toBeLessThanOrEqual(eigen.values[a - 1]!);
            const image = product(matrix, n, n, vector, 1);
            for (const [i, x] of image.entries())
              expect(Math.abs(x - eigen.values[a]! * vector[i]!)).toBeLessThan(size * n * 1e-13);
            for (let b = 0; b <= a; b++) {
              const other = eigen.vectors.subarray(b * n, (b + 1) * n);
              const dot = vector.reduce((sum, x, i) => sum + x * other[i]!, 0);
              expect(Math.abs(dot - (a === b ? 1 : 0))).toBeLessThan(n * 1e-13);
            }
          }
        },
      ),
      {
        numRuns: 300,
        // What underflows once had no end, or no right angles.
        examples: [
          [2, [-5e-324]],
          [4, [0, -1.5717277847026288e-162, 1]],
          [3, [1e-80, 1, -1e-75, 1e-300, 0]],
        ],
      },
    );
  });
});
