import { symmetricEigen } from './eigen.js';

/** A matrix as the product of two thin ones: left (rows × rank) · right (rank × columns), all row-major. */
export interface Factors {
  readonly rank: number;
  readonly left: Float64Array;
  readonly right: Float64Array;
  /** Share of the sum of squares that is kept. */
  readonly energy: number;
}

/** Singular values, descending, and the singular vectors of the shorter side, one a row. */
export interface Spectrum {
  readonly values: Float64Array;
  readonly vectors: Float64Array;
}

/**
 * From the eigenvectors of the Gram matrix of the shorter side. What is smaller than 10⁻⁸ of the largest value is lost
 * in the rounding of squares, which is less than the rounding of f32.
 */
export function spectrumOf(matrix: Float64Array, rows: number, columns: number): Spectrum {
  const n = Math.min(rows, columns);
  const { values, vectors } = symmetricEigen(gram(matrix, rows, columns), n);
  return { values: values.map((value) => Math.sqrt(Math.max(0, value))), vectors };
}

/** The smallest rank whose singular values have this share of the sum of all squares. */
export function rankForEnergy({ values }: Spectrum, energy: number): number {
  const total = squares(values);
  let [sum, rank] = [0, 0];
  while (rank < values.length && sum < energy * total) sum += (values[rank++] ?? 0) ** 2;
  return Math.max(1, rank);
}

/** The nearest matrix of a rank (Eckart & Young 1936): the projection onto the first singular vectors. */
export function factorsOf(
  matrix: Float64Array,
  rows: number,
  columns: number,
  { values, vectors }: Spectrum,
  rank: number,
): Factors {
  const n = Math.min(rows, columns);
  const kept = vectors.subarray(0, rank * n);
  const total = squares(values);
  const energy = total === 0 ? 1 : squares(values.subarray(0, rank)) / total;
  if (rows <= columns)
    return {
      rank,
      energy,
      left: transposed(kept, rank, n),
      right: product(kept, rank, rows, matrix, columns),
    };
  return { rank, energy, left: product(matrix, rows, columns, transposed(kept, rank, n), rank), right: kept };
}

const squares = (values: Float64Array): number => values.reduce((sum, value) => sum + value * value, 0);

/** The products of all pairs of rows, or of columns where there are fewer. */
function gram(matrix: Float64Array, rows: number, columns: number): Float64Array {
  const flat = rows <= columns;
  const lines = flat ? matrix : transposed(matrix, rows, columns);
  const [n, length] = flat ? [rows, columns] : [columns, rows];
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = 0, a = i * length, b = j * length; k < length; k++, a++, b++)
        sum += (lines[a] ?? 0) * (lines[b] ?? 0);
      out[i * n + j] = sum;
      out[j * n + i] = sum;
    }
  return out;
}

export function transposed(matrix: Float64Array, rows: number, columns: number): Float64Array<ArrayBuffer> {
  const out = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) out[j * rows + i] = matrix[i * columns + j] ?? 0;
  return out;
}

/** a (rows × inner) · b (inner × columns). */
export function product(
  a: Float64Array,
  rows: number,
  inner: number,
  b: Float64Array,
  columns: number,
): Float64Array<ArrayBuffer> {
  const out = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < inner; k++) {
      const factor = a[i * inner + k] ?? 0;
      if (factor === 0) continue;
      for (let j = 0, to = i * columns, from = k * columns; j < columns; j++, to++, from++)
        out[to] = (out[to] ?? 0) + factor * (b[from] ?? 0);
    }
  return out;
}
