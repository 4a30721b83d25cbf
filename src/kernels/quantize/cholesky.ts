import { MOST_ROWS, type Rows, rowProducts } from './row-products.js';

/** Columns that are finished before what is left is updated. */
const PANEL = 128;

/**
 * H = Lᵀ·L of a symmetric positive definite matrix, in place: L is lower triangular, row-major, what lies above its
 * diagonal is zero. False, and the matrix is spoilt, where H is not positive definite in f64.
 *
 * It is Cholesky's factor from the last row to the first, so that the leading part of L knows nothing of the rows
 * before it: rows i … K − 1 of L factor the trailing part of H, which is what a rounding needs that goes from the first
 * row to the last. Found as H = U·Uᵀ in the upper triangle, where every sum runs along rows, then turned.
 */
export function lowerFactor(h: Float64Array, size: number): boolean {
  for (let end = size; end > 0; end -= PANEL) {
    const start = Math.max(0, end - PANEL);
    if (!factorPanel(h, size, start, end)) return false;
    update(h, size, start, end);
  }
  for (let i = 0; i < size; i++)
    for (let j = i + 1; j < size; j++) {
      h[j * size + i] = h[i * size + j] ?? 0;
      h[i * size + j] = 0;
    }
  return true;
}

/** Columns [start, end) of U, in all rows up to them: the square at the diagonal first, then the rows above it. */
function factorPanel(h: Float64Array, size: number, start: number, end: number): boolean {
  const width = end - start;
  // Rows of the matrix lie on the same cache lines where its size is a power of two: copies do not.
  const square = new Float64Array(width * width);
  for (let i = 0; i < width; i++) {
    const at = (start + i) * size + start;
    square.set(h.subarray(at, at + width), i * width);
  }
  for (let i = width - 1; i >= 0; i--) {
    const row = i * width;
    const left = (square[row + i] ?? 0) - dot(square, row, square, row, i + 1, width);
    if (!(left > 0) || left === Number.POSITIVE_INFINITY) return false;
    square[row + i] = Math.sqrt(left);
    for (let j = 0; j < i; j++) solve(square, j * width, square, i, width);
  }
  for (let i = 0; i < width; i++)
    h.set(square.subarray(i * width, (i + 1) * width), (start + i) * size + start);
  for (let j = 0; j < start; j++)
    for (let i = width - 1; i >= 0; i--) solve(h, j * size + start, square, i, width);
  return true;
}

/** Element i of a row of U that begins at `at`, when those after it are known. */
function solve(h: Float64Array, at: number, square: Float64Array, i: number, width: number): void {
  const row = i * width;
  h[at + i] = ((h[at + i] ?? 0) - dot(h, at, square, row, i + 1, width)) / (square[row + i] ?? 1);
}

/** Sum of the products of two rows, of columns [from, to). */
function dot(x: Float64Array, a: number, y: Float64Array, b: number, from: number, to: number): number {
  let sum = 0;
  for (let k = from; k < to; k++) sum += (x[a + k] ?? 0) * (y[b + k] ?? 0);
  return sum;
}

/** What is left of H after the columns [start, end) of U: the upper triangle before them, a square at a time. */
function update(h: Float64Array, size: number, start: number, end: number): void {
  const rows = (first: number): Rows => ({
    values: h,
    first: first * size + start,
    step: size,
    count: Math.min(MOST_ROWS, start - first),
  });
  for (let j = 0; j < start; j += MOST_ROWS)
    for (let i = j; i < start; i += MOST_ROWS) {
      const [left, right] = [rows(j), rows(i)];
      const sums = rowProducts(left, right, end - start);
      for (let r = 0, k = 0; r < left.count; r++)
        for (let at = (j + r) * size + i, last = at + right.count; at < last; at++, k++)
          h[at] = (h[at] ?? 0) - (sums[k] ?? 0);
    }
}
