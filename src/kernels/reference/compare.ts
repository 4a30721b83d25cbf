/** Differences of one block pair, before they are merged. Sums are over the pairs of finite values: (a − b)², a², b². */
export interface BlockDifference {
  /** Values that differ; NaN equals NaN, 0 equals -0. */
  readonly changed: number;
  /** Pairs that differ and have a NaN or infinity on a side. */
  readonly broken: number;
  readonly maxAbs: number;
  /** Largest |a − b| ÷ |a| where a is not zero. */
  readonly maxRel: number;
  /** Largest |a − b| ÷ (1 + |b|). */
  readonly needed: number;
  readonly error: number;
  readonly aa: number;
  readonly bb: number;
}

const LANES = 4;

/** The comparison in plain TypeScript; additions in the order of the SIMD kernel (element i in lane i mod 4). */
export function blockDifference(
  a: Float64Array | Float32Array,
  b: Float64Array | Float32Array,
  count: number,
): BlockDifference {
  const error = new Float64Array(LANES);
  const aa = new Float64Array(LANES);
  const bb = new Float64Array(LANES);
  const relative = new Float64Array(LANES);
  const needed = new Float64Array(LANES);
  let [changed, broken, maxAbs] = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    const x = a[i] ?? 0;
    const y = b[i] ?? 0;
    const differ = x !== y && !(Number.isNaN(x) && Number.isNaN(y));
    if (differ) changed++;
    if (!Number.isFinite(x) || !Number.isFinite(y)) {
      if (differ) broken++;
      continue;
    }
    const lane = i % LANES;
    const d = Math.abs(x - y);
    const size = Math.abs(x);
    if (d > maxAbs) maxAbs = d;
    if (size > 0) worse(relative, lane, d, size);
    worse(needed, lane, d, 1 + Math.abs(y));
    error[lane] = (error[lane] ?? 0) + d * d;
    aa[lane] = (aa[lane] ?? 0) + x * x;
    bb[lane] = (bb[lane] ?? 0) + y * y;
  }
  const largest = { maxAbs, maxRel: Math.max(...relative), needed: Math.max(...needed) };
  return { changed, broken, ...largest, error: fold(error), aa: fold(aa), bb: fold(bb) };
}

/** Divides only where the quotient grows. */
function worse(ratios: Float64Array, lane: number, size: number, by: number): void {
  const worst = ratios[lane] ?? 0;
  if (size > worst * by) ratios[lane] = Math.max(worst, size / by);
}

function fold(lanes: Float64Array): number {
  const lane = (i: number): number => lanes[i] ?? 0;
  return lane(0) + lane(2) + (lane(1) + lane(3));
}
