/** Columns that are finished before what is left is updated. */
const PANEL = 64;

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

/** Columns [start, end) of U, in all rows up to them. */
function factorPanel(h: Float64Array, size: number, start: number, end: number): boolean {
  for (let i = end - 1; i >= start; i--) {
    const row = i * size;
    const square = (h[row + i] ?? 0) - dot(h, row, row, i + 1, end);
    if (!(square > 0) || square === Number.POSITIVE_INFINITY) return false;
    const pivot = Math.sqrt(square);
    h[row + i] = pivot;
    for (let j = 0; j < i; j++) {
      const at = j * size;
      h[at + i] = ((h[at + i] ?? 0) - dot(h, at, row, i + 1, end)) / pivot;
    }
  }
  return true;
}

/** Sum of the products of two rows, of columns [from, to). */
function dot(h: Float64Array, a: number, b: number, from: number, to: number): number {
  let sum = 0;
  for (let k = from; k < to; k++) sum += (h[a + k] ?? 0) * (h[b + k] ?? 0);
  return sum;
}

/** What is left of H after the columns [start, end) of U: the upper triangle before them, in tiles of 4 × 4. */
function update(h: Float64Array, size: number, start: number, end: number): void {
  const sums = new Float64Array(16);
  for (let j = 0; j < start; j += 4)
    for (let i = j; i < start; i += 4) {
      tile(h, j * size, h, i * size, size, size, start, end, sums);
      const [rows, columns] = [Math.min(4, start - j), Math.min(4, start - i)];
      for (let r = 0; r < rows; r++)
        for (let c = 0; c < columns; c++) {
          const at = (j + r) * size + i + c;
          h[at] = (h[at] ?? 0) - (sums[r * 4 + c] ?? 0);
        }
    }
}

/**
 * Sums of the products of each of four rows of `a` with each of four rows of `b`, of columns [from, to). Rows past the
 * end of a matrix count as zero.
 */
export function tile(
  a: Float64Array,
  a0: number,
  b: Float64Array,
  b0: number,
  aStep: number,
  bStep: number,
  from: number,
  to: number,
  sums: Float64Array,
): void {
  const [a1, a2, a3] = [a0 + aStep, a0 + 2 * aStep, a0 + 3 * aStep];
  const [b1, b2, b3] = [b0 + bStep, b0 + 2 * bStep, b0 + 3 * bStep];
  let [s00, s01, s02, s03] = [0, 0, 0, 0];
  let [s10, s11, s12, s13] = [0, 0, 0, 0];
  let [s20, s21, s22, s23] = [0, 0, 0, 0];
  let [s30, s31, s32, s33] = [0, 0, 0, 0];
  for (let k = from; k < to; k++) {
    const [x0, x1, x2, x3] = [a[a0 + k] ?? 0, a[a1 + k] ?? 0, a[a2 + k] ?? 0, a[a3 + k] ?? 0];
    const [y0, y1, y2, y3] = [b[b0 + k] ?? 0, b[b1 + k] ?? 0, b[b2 + k] ?? 0, b[b3 + k] ?? 0];
    s00 += x0 * y0;
    s01 += x0 * y1;
    s02 += x0 * y2;
    s03 += x0 * y3;
    s10 += x1 * y0;
    s11 += x1 * y1;
    s12 += x1 * y2;
    s13 += x1 * y3;
    s20 += x2 * y0;
    s21 += x2 * y1;
    s22 += x2 * y2;
    s23 += x2 * y3;
    s30 += x3 * y0;
    s31 += x3 * y1;
    s32 += x3 * y2;
    s33 += x3 * y3;
  }
  sums[0] = s00;
  sums[1] = s01;
  sums[2] = s02;
  sums[3] = s03;
  sums[4] = s10;
  sums[5] = s11;
  sums[6] = s12;
  sums[7] = s13;
  sums[8] = s20;
  sums[9] = s21;
  sums[10] = s22;
  sums[11] = s23;
  sums[12] = s30;
  sums[13] = s31;
  sums[14] = s32;
  sums[15] = s33;
}
