/** Bins on each side of zero. */
export const BINS = 2048;

/** A histogram as data: what the cache file holds. */
export interface HistogramState {
  readonly min: number;
  readonly max: number;
  /** Finite values, zeros included. */
  readonly count: number;
  readonly zeros: number;
  /** NaN and infinities: left out of everything else. */
  readonly nonFinite: number;
  /** Bins are 2^exponent wide. */
  readonly exponent: number;
  /** Counts of |x| in [k · width, (k + 1) · width), zeros left out; trailing empty bins may be missing. */
  readonly positive: ArrayLike<number>;
  readonly negative: ArrayLike<number>;
}

/** Widths below this would not be normal f32 numbers. */
const LEAST_EXPONENT = -126;

/**
 * How often values occur, in a fixed number of bins for any number of values. Zero is the edge between two bins, and
 * the width is a power of two: when a value lies outside, the width doubles and bins merge in pairs, exactly. So the
 * outcome depends on the values alone, not on their order, nor on how they were cut into batches.
 */
export class Histogram implements HistogramState {
  min = Number.POSITIVE_INFINITY;
  max = Number.NEGATIVE_INFINITY;
  count = 0;
  zeros = 0;
  nonFinite = 0;
  exponent = LEAST_EXPONENT;
  readonly positive = new Float64Array(BINS);
  readonly negative = new Float64Array(BINS);

  static from(state: HistogramState): Histogram {
    const made = new Histogram();
    const { min, max, count, zeros, nonFinite, exponent } = state;
    Object.assign(made, { min, max, count, zeros, nonFinite, exponent });
    made.positive.set(state.positive);
    made.negative.set(state.negative);
    return made;
  }

  add(values: ArrayLike<number>): void {
    this.#makeRoom(values);
    const perBin = 2 ** -this.exponent;
    const { positive, negative } = this;
    for (let i = 0; i < values.length; i++) {
      const x = values[i] ?? 0;
      // A product with a power of two is exact, and `| 0` takes its fraction away.
      if (x > 0 && x < Number.POSITIVE_INFINITY) {
        const k = (x * perBin) | 0;
        positive[k] = (positive[k] ?? 0) + 1;
      } else if (x < 0 && x > Number.NEGATIVE_INFINITY) {
        const k = (-x * perBin) | 0;
        negative[k] = (negative[k] ?? 0) + 1;
      } else if (x === 0) this.zeros++;
      else this.nonFinite++;
    }
    this.count = this.zeros + sum(positive) + sum(negative);
  }

  /** Widens the ends to hold the finite values, and the bins to hold the ends. */
  #makeRoom(values: ArrayLike<number>): void {
    let [min, max] = [this.min, this.max];
    for (let i = 0; i < values.length; i++) {
      const x = values[i] ?? 0;
      if (x < min && x > Number.NEGATIVE_INFINITY) min = x;
      if (x > max && x < Number.POSITIVE_INFINITY) max = x;
    }
    this.min = min + 0;
    this.max = max + 0;
    const largest = Math.max(max, -min);
    if (!Number.isFinite(largest)) return;
    const needed = exponentFor(largest);
    if (needed <= this.exponent) return;
    merge(this.positive, needed - this.exponent);
    merge(this.negative, needed - this.exponent);
    this.exponent = needed;
  }
}

/** The least width at which `largest` falls into a bin. */
function exponentFor(largest: number): number {
  if (largest === 0) return LEAST_EXPONENT;
  let exponent = Math.max(LEAST_EXPONENT, Math.floor(Math.log2(largest)) - Math.log2(BINS));
  while (largest >= BINS * 2 ** exponent) exponent++;
  return exponent;
}

/** Bins that are 2^times as wide: each takes 2^times old ones. */
function merge(bins: Float64Array, times: number): void {
  const old = bins.slice();
  bins.fill(0);
  const per = 2 ** times;
  old.forEach((count, k) => {
    const into = Math.floor(k / per);
    bins[into] = (bins[into] ?? 0) + count;
  });
}

export const sum = (counts: ArrayLike<number>): number => {
  let total = 0;
  for (let i = 0; i < counts.length; i++) total += counts[i] ?? 0;
  return total;
};
