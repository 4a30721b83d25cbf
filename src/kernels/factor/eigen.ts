/**
 * Eigenvalues and eigenvectors of a symmetric matrix (Golub & Van Loan, Matrix Computations, §8.3): Householder
 * reflections make it tridiagonal, implicit QL steps with Wilkinson's shift make it diagonal. O(n³).
 */
export interface Eigen {
  /** Descending. */
  readonly values: Float64Array;
  /** Row i is the unit vector of value i. n × n, row-major. */
  readonly vectors: Float64Array;
}

/** Next to a matrix as large as 1 nothing, and so small that products of it would be lost. */
const VANISHING = 1e-150;

/** Steps that one eigenvalue may take; two or three are usual. */
const MOST_STEPS = 60;

/** `matrix`: n × n, row-major, symmetric; overwritten. */
export function symmetricEigen(matrix: Float64Array, n: number): Eigen {
  // As large as 1, so that squares neither overflow nor vanish.
  const size = matrix.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  for (let i = 0; i < n * n; i++) matrix[i] = (matrix[i] ?? 0) / size;
  const { diagonal, beside, basis } = tridiagonal(matrix, n);
  diagonalize(diagonal, beside, basis, n);
  const order = Array.from(diagonal.keys()).sort((a, b) => (diagonal[b] ?? 0) - (diagonal[a] ?? 0));
  const vectors = new Float64Array(n * n);
  order.forEach((from, to) => {
    vectors.set(basis.subarray(from * n, (from + 1) * n), to * n);
  });
  return { values: Float64Array.from(order, (i) => (diagonal[i] ?? 0) * size), vectors };
}

/** matrix = basisᵀ · T · basis, where T has `diagonal` and, on both sides of it, `beside` (n − 1, then a zero). */
function tridiagonal(
  a: Float64Array,
  n: number,
): { readonly diagonal: Float64Array; readonly beside: Float64Array; readonly basis: Float64Array } {
  const diagonal = new Float64Array(n);
  const beside = new Float64Array(n);
  const reflectors: { readonly at: number; readonly v: Float64Array; readonly scale: number }[] = [];
  for (let k = 0; k + 1 < n; k++) {
    const size = n - k - 1;
    const v = Float64Array.from({ length: size }, (_, i) => a[(k + 1 + i) * n + k] ?? 0);
    const tail = v.subarray(1).reduce((sum, x) => sum + x * x, 0);
    const head = v[0] ?? 0;
    if (tail < VANISHING) {
      beside[k] = head;
      continue;
    }
    const norm = Math.sqrt(head * head + tail);
    const turned = head > 0 ? -norm : norm;
    v[0] = head - turned;
    const scale = 2 / (tail + (v[0] ?? 0) ** 2);
    beside[k] = turned;
    reflect(a, n, k + 1, v, scale);
    reflectors.push({ at: k + 1, v, scale });
  }
  for (let i = 0; i < n; i++) diagonal[i] = a[i * n + i] ?? 0;
  return { diagonal, beside, basis: basisOf(reflectors, n) };
}

/** The lower right part of a symmetric matrix from row `at` on, with a reflection on both sides. */
function reflect(a: Float64Array, n: number, at: number, v: Float64Array, scale: number): void {
  const size = v.length;
  const w = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    const row = (at + i) * n + at;
    let sum = 0;
    for (let j = 0; j < size; j++) sum += (a[row + j] ?? 0) * (v[j] ?? 0);
    w[i] = sum * scale;
  }
  let dot = 0;
  for (let i = 0; i < size; i++) dot += (v[i] ?? 0) * (w[i] ?? 0);
  const half = (dot * scale) / 2;
  for (let i = 0; i < size; i++) w[i] = (w[i] ?? 0) - half * (v[i] ?? 0);
  for (let i = 0; i < size; i++) {
    const row = (at + i) * n + at;
    const [vi, wi] = [v[i] ?? 0, w[i] ?? 0];
    for (let j = 0; j < size; j++) a[row + j] = (a[row + j] ?? 0) - vi * (w[j] ?? 0) - wi * (v[j] ?? 0);
  }
}

/** The product of the reflections, transposed: rows are the vectors that the tridiagonal matrix is written in. */
function basisOf(
  reflectors: readonly { readonly at: number; readonly v: Float64Array; readonly scale: number }[],
  n: number,
): Float64Array {
  const basis = new Float64Array(n * n);
  for (let i = 0; i < n; i++) basis[i * n + i] = 1;
  // Q = H₀ H₁ …: applied from the last one on, each to the rows and columns that it concerns.
  for (const { at, v, scale } of [...reflectors].reverse())
    for (let i = at; i < n; i++) {
      const row = i * n + at;
      let sum = 0;
      for (let j = 0; j < v.length; j++) sum += (basis[row + j] ?? 0) * (v[j] ?? 0);
      sum *= scale;
      for (let j = 0; j < v.length; j++) basis[row + j] = (basis[row + j] ?? 0) - sum * (v[j] ?? 0);
    }
  return basis;
}

/** Makes the tridiagonal matrix diagonal; the rows of `basis` become its vectors. */
function diagonalize(d: Float64Array, e: Float64Array, basis: Float64Array, n: number): void {
  for (let low = 0; low < n; low++)
    for (let steps = 0; ; steps++) {
      let high = low;
      while (high + 1 < n && !isNegligible(e[high] ?? 0, d[high] ?? 0, d[high + 1] ?? 0)) high++;
      if (high === low) break;
      if (steps === MOST_STEPS) throw new Error('an eigenvalue does not converge');
      qlStep(d, e, basis, n, low, high);
    }
}

const isNegligible = (beside: number, above: number, below: number): boolean =>
  Math.abs(beside) <= Number.EPSILON * (Math.abs(above) + Math.abs(below)) + VANISHING;

/** One implicit QL step on rows low to high: a bulge is chased from the bottom up by rotations. */
function qlStep(
  d: Float64Array,
  e: Float64Array,
  basis: Float64Array,
  n: number,
  low: number,
  high: number,
): void {
  const at = (list: Float64Array, i: number): number => list[i] ?? 0;
  // Wilkinson: the eigenvalue of the upper 2 × 2 part that is nearer to its corner.
  const half = (at(d, low + 1) - at(d, low)) / (2 * at(e, low));
  const root = Math.hypot(half, 1);
  const shift = at(d, low) - at(e, low) / (half + (half < 0 ? -root : root));
  let x = at(d, high) - shift;
  let [sine, cosine, moved] = [1, 1, 0];
  for (let i = high - 1; i >= low; i--) {
    const bulge = sine * at(e, i);
    const rest = cosine * at(e, i);
    const length = Math.hypot(bulge, x);
    e[i + 1] = length;
    if (length === 0) {
      // It falls apart here: what is above goes on in the next step.
      d[i + 1] = at(d, i + 1) - moved;
      e[high] = 0;
      return;
    }
    sine = bulge / length;
    cosine = x / length;
    const below = at(d, i + 1) - moved;
    const turn = (at(d, i) - below) * sine + 2 * cosine * rest;
    moved = sine * turn;
    d[i + 1] = below + moved;
    x = cosine * turn - rest;
    rotate(basis, n, i, sine, cosine);
  }
  d[low] = at(d, low) - moved;
  e[low] = x;
  e[high] = 0;
}

/** Rows i and i + 1. */
function rotate(basis: Float64Array, n: number, i: number, sine: number, cosine: number): void {
  const [first, second] = [basis.subarray(i * n, (i + 1) * n), basis.subarray((i + 1) * n, (i + 2) * n)];
  for (let k = 0; k < n; k++) {
    const [a, b] = [first[k] ?? 0, second[k] ?? 0];
    second[k] = sine * a + cosine * b;
    first[k] = cosine * a - sine * b;
  }
}
