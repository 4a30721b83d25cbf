import type { ActivationRange } from '../../../graph/quantize/types.js';
import type { HistogramState } from './histogram.js';

/** Ends that are tried: so many parts of the largest magnitude. */
const STEPS = 128;

/**
 * The range whose expected squared error is least: rounding costs a twelfth of the squared step for what lies inside
 * (the square of the value for what is rounded to zero), cutting off the squared distance for the rest. Both ends shrink together first, then each by itself.
 */
export function leastSquares(histogram: HistogramState, integers: number): ActivationRange {
  const [low, high] = [Math.min(histogram.min, 0), Math.max(histogram.max, 0)];
  const negative = outside(histogram.negative, histogram.exponent, -low);
  const positive = outside(histogram.positive, histogram.exponent, high);
  const small = roundedAway(histogram);
  const values = histogram.count - histogram.zeros;
  const cost = (down: number, up: number): number => {
    const step = (down * -low + up * high) / STEPS / integers;
    const { count, squares } = small(step / 2);
    return negative(down) + positive(up) + squares + ((values - count) * step * step) / 12;
  };
  let best = { down: STEPS, up: STEPS, cost: cost(STEPS, STEPS) };
  const attempt = (down: number, up: number): void => {
    const found = cost(down, up);
    if (found < best.cost) best = { down, up, cost: found };
  };
  for (let n = STEPS - 1; n > 0; n--) attempt(n, n);
  for (let round = 0; round < 2; round++) {
    for (let n = STEPS; n > 0; n--) attempt(best.down, n);
    for (let n = STEPS; n > 0; n--) attempt(n, best.up);
  }
  return {
    min: histogram.min >= 0 ? histogram.min : (low * best.down) / STEPS,
    max: histogram.max <= 0 ? histogram.max : (high * best.up) / STEPS,
  };
}

/** Squared distance of what lies beyond n / STEPS of an end, from there; one table for all n. */
function outside(bins: ArrayLike<number>, exponent: number, end: number): (n: number) => number {
  const width = 2 ** exponent;
  const table = new Float64Array(STEPS + 1);
  for (let n = 1; n < STEPS; n++) {
    const edge = (end * n) / STEPS;
    let total = 0;
    for (let k = Math.floor(edge / width); k < bins.length; k++) {
      const beyond = Math.max(0, Math.min((k + 0.5) * width, end) - edge);
      total += (bins[k] ?? 0) * beyond * beyond;
    }
    table[n] = total;
  }
  return (n) => table[n] ?? 0;
}

/** How many magnitudes lie below a bound, to the width of a bin, and the sum of their squares. */
function roundedAway({
  exponent,
  positive,
  negative,
}: HistogramState): (bound: number) => { readonly count: number; readonly squares: number } {
  const width = 2 ** exponent;
  const bins = Math.max(positive.length, negative.length);
  const counts = new Float64Array(bins + 1);
  const squares = new Float64Array(bins + 1);
  for (let k = 0; k < bins; k++) {
    const n = (positive[k] ?? 0) + (negative[k] ?? 0);
    counts[k + 1] = (counts[k] ?? 0) + n;
    squares[k + 1] = (squares[k] ?? 0) + n * ((k + 0.5) * width) ** 2;
  }
  return (bound) => {
    const k = Math.min(bins, Math.round(bound / width));
    return { count: counts[k] ?? 0, squares: squares[k] ?? 0 };
  };
}
