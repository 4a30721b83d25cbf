import { lowerFactor } from './quantize/cholesky.js';

/** Added to the diagonal, in parts of its mean: samples are few, and inputs follow from each other. */
const DAMPING = 0.01;

/** A weight as outputs × columns, and XᵀX of what it is fed with, where a column of ones stands behind the others. */
export interface Fed {
  readonly matrix: Float64Array;
  readonly outputs: number;
  readonly columns: number;
  /** f64, (columns + 1)²; larger where what is fed in the place of columns stands between them and the ones. */
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
 * the samples (He et al., Channel Pruning, ICCV 2017, equation 3; ThiNet), as W_K + (W·H_XP − W_K·H_PP)·(H_PP)⁻¹, P being
 * what is fed in the place of the columns K. Without a bias to change (`bias` false) columns bear all of it. Columns that
 * go are zero then. Columns that were never other than zero change nothing at all. undefined where the samples do not tell.
 */
export function reconstructed(
  { matrix, outputs, columns, gram }: Fed,
  kept: readonly number[],
  bias: boolean,
  places: readonly number[] = kept,
): { readonly matrix: Float64Array; readonly bias: Float64Array } | undefined {
  const size = Math.round(Math.sqrt(gram.length));
  const basis = bias ? [...places, size - 1] : places;
  const n = basis.length;
  const mean = places.reduce((sum, c) => sum + (gram[c * size + c] ?? 0), 0) / (places.length || 1);
  const factor = new Float64Array(n * n);
  basis.forEach((row, i) => {
    basis.forEach((column, j) => {
      factor[i * n + j] = gram[row * size + column] ?? 0;
    });
    if (row !== size - 1) factor[i * n + i] = (factor[i * n + i] ?? 0) + DAMPING * mean;
  });
  if (!(mean > 0) || !lowerFactor(factor, n)) return undefined;
  const next = new Float64Array(matrix.length);
  const shift = new Float64Array(outputs);
  const sums = new Float64Array(n);
  // Where a column is fed what it always was, the difference is zero, bit for bit.
  const instead = new Map(kept.map((column, j) => [column, places[j] ?? column]));
  const missing = Array.from({ length: columns }, (_, c) => c).filter((c) => instead.get(c) !== c);
  for (let o = 0; o < outputs; o++) {
    const row = o * columns;
    sums.fill(0);
    for (const c of missing) {
      const w = matrix[row + c] ?? 0;
      if (w === 0) continue;
      const place = instead.get(c);
      for (let j = 0; j < n; j++) {
        const now = place === undefined ? 0 : (gram[place * size + (basis[j] ?? 0)] ?? 0);
        sums[j] = (sums[j] ?? 0) + w * ((gram[c * size + (basis[j] ?? 0)] ?? 0) - now);
      }
    }
    solve(factor, n, sums);
    kept.forEach((column, j) => {
      next[row + column] = (matrix[row + column] ?? 0) + (sums[j] ?? 0);
    });
    if (bias) shift[o] = sums[n - 1] ?? 0;
  }
  return { matrix: next, bias: shift };
}

/**
 * What `reconstructed` leaves, with every column of `order` that goes after those in front of it: the variance of the
 * outputs, summed over them, that columns behind it (and the bias) cannot make up for. With H = Lᵀ·L the first r columns
 * leave ‖L₁₁·W_R‖², for L₁₁ᵀ·L₁₁ is what is left of their H when the others explain what they can (Schur's complement).
 * One factor so tells of every number of columns. undefined where the samples do not tell.
 */
export function residualVariances(
  { matrix, outputs, columns, gram }: Fed,
  order: readonly number[],
  bias: boolean,
): Float64Array | undefined {
  const size = columns + 1;
  const basis = bias ? [...order, columns] : order;
  const n = basis.length;
  const rows = gram[size * size - 1] || 1;
  const power = (c: number): number => gram[c * size + c] ?? 0;
  const mean = order.reduce((sum, c) => sum + power(c), 0) / (order.length || 1);
  const factor = Float64Array.from({ length: n * n }, (_, at) => {
    const [row, column] = [basis[Math.floor(at / n)] ?? 0, basis[at % n] ?? 0];
    const damping = row === column && row !== columns ? DAMPING * mean : 0;
    return (gram[row * size + column] ?? 0) + damping;
  });
  if (!(mean > 0) || !lowerFactor(factor, n)) return undefined;
  const left = new Float64Array(order.length);
  const w = new Float64Array(order.length);
  for (let o = 0; o < outputs; o++) {
    // What was never other than zero changes nothing, whatever its weight: only the damping is on its diagonal.
    order.forEach((c, j) => {
      w[j] = power(c) === 0 ? 0 : (matrix[o * columns + c] ?? 0);
    });
    for (let i = 0; i < left.length; i++) {
      let sum = 0;
      for (let j = 0; j <= i; j++) sum += (factor[i * n + j] ?? 0) * (w[j] ?? 0);
      left[i] = (left[i] ?? 0) + (sum * sum) / rows;
    }
  }
  return left;
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
