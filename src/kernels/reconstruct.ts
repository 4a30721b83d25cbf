import { lowerFactor } from './quantize/cholesky.js';

/** Added to the diagonal, in parts of its mean: samples are few, and inputs follow from each other. */
const DAMPING = 0.01;

/** A weight as outputs × columns, and XᵀX of what it is fed with, where a column of ones stands behind the others. */
export interface Fed {
  readonly matrix: Float64Array;
  readonly outputs: number;
  readonly columns: number;
  /** f64, (columns + 1)². */
  readonly gram: Float64Array;
}

/**
 * For each unit of columns the variance that it alone puts into the outputs, w·Cov(X)·wᵀ, summed over the outputs. A mean
 * does not count: it can go into the bias.
 */
export function outputVariances(
  { matrix, outputs, columns, gram }: Fed,
  units: ArrayLike<number>,
  count: number,
): Float64Array {
  const size = columns + 1;
  const rows = gram[size * size - 1] ?? 1;
  const members: number[][] = Array.from({ length: count }, () => []);
  for (let c = 0; c < columns; c++) members[units[c] ?? -1]?.push(c);
  return Float64Array.from(members, (own) => {
    const covariance = own.map((i) =>
      Float64Array.from(own, (j) => {
        const means = ((gram[i * size + columns] ?? 0) / rows) * ((gram[j * size + columns] ?? 0) / rows);
        return (gram[i * size + j] ?? 0) / rows - means;
      }),
    );
    let sum = 0;
    for (let o = 0; o < outputs; o++) {
      const w = own.map((c) => matrix[o * columns + c] ?? 0);
      covariance.forEach((row, i) => {
        let product = 0;
        for (let j = 0; j < w.length; j++) product += (row[j] ?? 0) * (w[j] ?? 0);
        sum += (w[i] ?? 0) * product;
      });
    }
    return Math.max(0, sum);
  });
}

/**
 * What columns that stay, and the bias, have to become so that the outputs change least when others go: least squares over
 * the samples (He et al., Channel Pruning, ICCV 2017, equation 3; ThiNet), as W_K + W_R·H_RK·(H_KK)⁻¹. Without a bias to
 * change (`bias` false) columns bear all of it. Columns that go are zero then. Columns that were never other than zero
 * change nothing at all. undefined where the samples do not tell.
 */
export function reconstructed(
  { matrix, outputs, columns, gram }: Fed,
  stays: (column: number) => boolean,
  bias: boolean,
): { readonly matrix: Float64Array; readonly bias: Float64Array } | undefined {
  const size = columns + 1;
  const all = Array.from({ length: columns }, (_, i) => i);
  const [kept, gone] = [all.filter(stays), all.filter((column) => !stays(column))];
  const basis = bias ? [...kept, columns] : kept;
  const n = basis.length;
  const mean = kept.reduce((sum, c) => sum + (gram[c * size + c] ?? 0), 0) / (kept.length || 1);
  const factor = new Float64Array(n * n);
  basis.forEach((row, i) => {
    basis.forEach((column, j) => {
      factor[i * n + j] = gram[row * size + column] ?? 0;
    });
    if (row !== columns) factor[i * n + i] = (factor[i * n + i] ?? 0) + DAMPING * mean;
  });
  if (!(mean > 0) || !lowerFactor(factor, n)) return undefined;
  const next = new Float64Array(matrix);
  const shift = new Float64Array(outputs);
  const sums = new Float64Array(n);
  for (let o = 0; o < outputs; o++) {
    const row = o * columns;
    sums.fill(0);
    for (const r of gone) {
      const w = matrix[row + r] ?? 0;
      next[row + r] = 0;
      if (w !== 0)
        for (let j = 0; j < n; j++) sums[j] = (sums[j] ?? 0) + w * (gram[r * size + (basis[j] ?? 0)] ?? 0);
    }
    solve(factor, n, sums);
    kept.forEach((column, j) => {
      next[row + column] = (next[row + column] ?? 0) + (sums[j] ?? 0);
    });
    if (bias) shift[o] = sums[n - 1] ?? 0;
  }
  return { matrix: next, bias: shift };
}

/** x of Lᵀ·L·x = b, in place of b. */
function solve(factor: Float64Array, n: number, b: Float64Array): void {
  for (let i = n - 1; i >= 0; i--) {
    const y = (b[i] ?? 0) / (factor[i * n + i] ?? 1);
    b[i] = y;
    if (y !== 0) for (let j = 0; j < i; j++) b[j] = (b[j] ?? 0) - y * (factor[i * n + j] ?? 0);
  }
  for (let i = 0; i < n; i++) {
    let sum = b[i] ?? 0;
    for (let j = 0; j < i; j++) sum -= (factor[i * n + j] ?? 0) * (b[j] ?? 0);
    b[i] = sum / (factor[i * n + i] ?? 1);
  }
}
