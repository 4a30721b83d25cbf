import type { DType } from '../../core/dtype.js';

/** Integers that values are quantized to. */
export type QuantizedType = 'i2' | 'i4' | 'i8' | 'i16' | 'u2' | 'u4' | 'u8' | 'u16';

export const isQuantizedType = (dtype: DType): dtype is QuantizedType => /^[iu](2|4|8|16)$/.test(dtype);

export const isSigned = (dtype: QuantizedType): boolean => dtype.startsWith('i');

export interface IntegerRange {
  readonly low: number;
  readonly high: number;
}

/** All integers of a type. */
export function integersOf(dtype: QuantizedType): IntegerRange {
  const all = 2 ** Number(dtype.slice(1));
  return isSigned(dtype) ? { low: -all / 2, high: all / 2 - 1 } : { low: 0, high: all - 1 };
}

/**
 * The integers that the range of values is spread over. Symmetric 8 and 16 bits leave out the lowest integer, so that
 * zero is in the middle; types of fewer bits cannot spare one. Reduced: half of them (as onnxruntime has it, 8 and 16
 * bits with both ends).
 */
export function spreadOver(dtype: QuantizedType, symmetric: boolean, reduced = false): IntegerRange {
  const { low, high } = integersOf(dtype);
  const wide = high > 100;
  if (reduced) {
    if (!isSigned(dtype)) return { low: 0, high: (high - 1) / 2 };
    return { low: low / 2, high: wide ? -low / 2 : (high - 1) / 2 };
  }
  return isSigned(dtype) && symmetric && wide ? { low: -high, high } : { low, high };
}
