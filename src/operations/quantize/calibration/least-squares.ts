import type { ActivationRange } from '../../../graph/quantize/types.js';
import type { HistogramState } from './histogram.js';

/** Ends that are tried: so many parts of the largest magnitude. */
const STEPS = 128;

/**
 * The range whose expected squared error is least: rounding costs a twelfth of the squared step for what lies inside,
 * cutting off the squared distance for the rest. Both ends shrink together first, then each by itself.
 */
export function leastSquares(histogram: HistogramState, integers: number): ActivationRange {
  const [low, high] = [Math.min(histogram.min, 0), Math.max(histogram.max, 0)];
  const negative = outside(histogram.negative, histogram.exponent, -low);
  const positive = outside(histogram.positive, histogram.exponent, high);
  const values = histogram.count - histogram.zeros;
  const cost = (down: number, up: number): number => {
    const step = (down * -low + up * high) / STEPS / integers;
    return negative(down) + positive(up) + (values * step * step) / 12;
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
