import { type QuantizedType, spreadOver } from './integers.js';

/** How values become integers: `q = clip(round(x / scale) + zeroPoint)`. */
export interface Rounding {
  readonly dtype: QuantizedType;
  /** The zero point is fixed at the middle of the integers. */
  readonly symmetric: boolean;
  /** Only half of the integers, for processors whose 8-bit sums saturate. */
  readonly reduceRange?: boolean;
}

export interface Affine {
  /** An f32 value. */
  readonly scale: number;
  readonly zeroPoint: number;
}

/** Smallest normal f32. */
const TINY = 1.1754943508222875e-38;

/** Half of an integer goes to the even neighbour. Exact for everything that is smaller than 2^51. */
const MAGIC = 6755399441055744;
export const roundHalfEven = (x: number): number => x + MAGIC - MAGIC;

/**
 * Scale and zero point for values between `min` and `max`, as onnxruntime 1.30 computes them (behaviour: the fixtures
 * numerics/intquant): the range is widened to hold zero; its width and the scale are f32; the zero point comes from
 * the quotient before it is rounded to f32. A range without width (or with less than f32 can divide) has scale 1.
 */
export function affineOf(min: number, max: number, rounding: Rounding): Affine {
  const { low, high } = spreadOver(rounding.dtype, rounding.symmetric, rounding.reduceRange);
  let [from, to] = [Math.min(min, 0), Math.max(max, 0)];
  if (rounding.symmetric) {
    to = Math.max(-from, to);
    from = -to;
  }
  const exact = Math.fround(to - from) / (high - low);
  const scale = Math.fround(exact);
  if (scale < TINY) return { scale: 1, zeroPoint: 0 };
  const zero = roundHalfEven(rounding.symmetric ? (low + high) / 2 : low - from / exact);
  return { scale, zeroPoint: zero + 0 };
}
