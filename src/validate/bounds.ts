import { type DType, isFloat } from '../core/dtype.js';
import { smallFloatValues } from '../kernels/small-floats.js';

/** What rounding to nearest may do to a value. */
export interface RoundingBound {
  /** |error| ≤ relative · |value| in the normal range. */
  readonly relative: number;
  /** |error| ≤ absolute below it. */
  readonly absolute: number;
  /** Largest finite value: what lies beyond is saturated or becomes infinite. */
  readonly largest: number;
}

/** The bound of a conversion between floats; undefined where rounding is not all that happens (integers, e8m0). */
export function roundingBound(from: DType, to: DType): RoundingBound | undefined {
  if (!isFloat(from) || !isFloat(to) || to === 'f8_e8m0') return undefined;
  if (to === 'f64') return { relative: 0, absolute: 0, largest: Number.MAX_VALUE };
  if (to === 'f32') return { relative: 2 ** -24, absolute: 2 ** -150, largest: (2 - 2 ** -23) * 2 ** 127 };
  // Found by sorting every value of the type: once a type, not once a tensor.
  const bound = known.get(to) ?? smallBound(to);
  known.set(to, bound);
  return bound;
}

const known = new Map<DType, RoundingBound>();

function smallBound(to: DType): RoundingBound {
  const finite = smallFloatValues(to).filter((value) => Number.isFinite(value) && value > 0);
  const ascending = Float64Array.from(new Set(finite)).sort();
  const least = ascending[0] ?? 0;
  const largest = ascending.at(-1) ?? 0;
  // The step between 1 and the next value is the spacing of a binade: half of it is the largest relative error.
  const next = ascending.find((value) => value > 1) ?? 2;
  return { relative: (next - 1) / 2, absolute: least / 2, largest };
}
