/** Statistics of one block, before they are merged. Sums are of x - shift over the finite values. */
export interface BlockStatistics {
  readonly shift: number;
  readonly sum: number;
  readonly squares: number;
  /** Equal to the shift where there is no finite value. */
  readonly min: number;
  readonly max: number;
  readonly zeros: number;
  readonly nan: number;
  readonly inf: number;
}

const LANES = 8;

/**
 * The fused statistics in plain TypeScript. The order of the additions is part of the definition: element i goes to
 * lane i mod 8, and the SIMD kernels add in the same order, so that the doubles are equal to the last bit.
 */
export function blockStatistics(values: Float64Array | Float32Array, count: number): BlockStatistics {
  const shift = shiftOf(values, count);
  const sums = new Float64Array(LANES);
  const squares = new Float64Array(LANES);
  let [min, max, zeros, nan, inf] = [shift, shift, 0, 0, 0];
  for (let i = 0; i < count; i++) {
    const value = values[i] ?? 0;
    if (!Number.isFinite(value)) {
      if (Number.isNaN(value)) nan++;
      else inf++;
      continue;
    }
    if (value === 0) zeros++;
    if (value < min) min = value;
    if (value > max) max = value;
    const d = value - shift;
    const lane = i % LANES;
    sums[lane] = (sums[lane] ?? 0) + d;
    squares[lane] = (squares[lane] ?? 0) + d * d;
  }
  return { shift, sum: fold(sums), squares: fold(squares), min, max, zeros, nan, inf };
}

/** The median of the first finite, the middle and the last value: one outlier must not become the shift. */
function shiftOf(values: Float64Array | Float32Array, count: number): number {
  let first = 0;
  while (first < count && !Number.isFinite(values[first])) first++;
  if (first === count) return 0;
  const start = values[first] ?? 0;
  const finite = (value: number | undefined): number =>
    value !== undefined && Number.isFinite(value) ? value : start;
  const middle = finite(values[count >> 1]);
  const last = finite(values[count - 1]);
  const [low, high] = start > middle ? [middle, start] : [start, middle];
  return last < low ? low : last > high ? high : last;
}

/** Lanes as the vectors are added: pairs (0,1) + (2,3) + … component by component, then across. */
function fold(lanes: Float64Array): number {
  const lane = (i: number): number => lanes[i] ?? 0;
  const even = lane(0) + lane(2) + (lane(4) + lane(6));
  const odd = lane(1) + lane(3) + (lane(5) + lane(7));
  return even + odd;
}
