import { integersOf, type QuantizedType } from './integers.js';
import type { Affine } from './parameters.js';

/**
 * The rule of `com.microsoft::MatMulNBits` and its companions, as onnxruntime 1.30 computes it (behaviour: the fixtures
 * numerics/intquant). Symmetric: the value farthest from zero becomes the lowest integer exactly, so the scale has a
 * sign. Values are multiplied with the reciprocal of the scale, in f32, and halves are rounded away from zero.
 */
export function nbitsOf(min: number, max: number, dtype: QuantizedType, symmetric: boolean): Affine {
  const { low, high } = integersOf(dtype);
  const top = high - low;
  if (symmetric) {
    const middle = (top + 1) / 2;
    const farthest = Math.abs(max) > Math.abs(min) ? max : min;
    return { scale: Math.fround(farthest / -middle), zeroPoint: middle + low };
  }
  const [from, to] = [Math.min(min, 0), Math.max(max, 0)];
  const scale = Math.fround(Math.fround(to - from) / top);
  if (scale === 0) return { scale, zeroPoint: low };
  const zero = Math.floor(Math.fround(-from / scale) + 0.5);
  return { scale, zeroPoint: Math.min(Math.max(zero, 0), top) + low };
}

/** Factors that values are multiplied with. */
export const reciprocals = (scales: Float32Array): Float32Array =>
  scales.map((scale) => (scale === 0 ? 0 : 1 / scale));
