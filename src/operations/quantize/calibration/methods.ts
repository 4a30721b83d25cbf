import type { ActivationRange } from '../../../graph/quantize/types.js';
import type { CalibrationMethod } from '../quantize.js';
import { entropyThreshold } from './entropy.js';
import type { HistogramState } from './histogram.js';
import { leastSquares } from './least-squares.js';

/** Per cent of the values that the range of `percentile` holds; what is left out is shared by both ends. */
const PERCENTILE = 99.999;

/**
 * The range that a method chooses; undefined where no finite value was seen. It never leaves what was seen, and
 * `integers` (how many the activations have, less one) matters to `mse` only.
 */
export function rangeOf(
  histogram: HistogramState,
  method: CalibrationMethod,
  integers: number,
): ActivationRange | undefined {
  const { min, max, count } = histogram;
  if (count === 0) return undefined;
  switch (method) {
    case 'minmax':
      return { min, max };
    case 'percentile': {
      const outside = (100 - PERCENTILE) / 200;
      return { min: quantile(histogram, outside), max: quantile(histogram, 1 - outside) };
    }
    case 'entropy': {
      const threshold = entropyThreshold(histogram);
      return { min: Math.max(min, -threshold), max: Math.min(max, threshold) };
    }
    case 'mse':
      return leastSquares(histogram, integers);
  }
}

/** The value below which a share of the values lies; within the width of a bin. */
export function quantile(histogram: HistogramState, share: number): number {
  const { min, max, count, zeros, exponent, positive, negative } = histogram;
  const width = 2 ** exponent;
  let left = share * count;
  const within = (x: number): number => Math.min(max, Math.max(min, x));
  for (let k = negative.length - 1; k >= 0; k--) {
    const n = negative[k] ?? 0;
    if (n > 0 && left <= n) return within(-(k + 1 - left / n) * width);
    left -= n;
  }
  if (zeros > 0 && left <= zeros) return within(0);
  left -= zeros;
  for (let k = 0; k < positive.length; k++) {
    const n = positive[k] ?? 0;
    if (n > 0 && left <= n) return within((k + left / n) * width);
    left -= n;
  }
  return max;
}
