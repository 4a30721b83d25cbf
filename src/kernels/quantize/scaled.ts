import { elementCount } from '../../core/dtype.js';
import type { TensorSource } from '../../core/tensor.js';
import { encoded } from './codes.js';
import { mapped } from './values.js';

/** A tensor whose elements are multiplied, those of index i along an axis by factor i, when they are pulled. */
export function scaledTensor(tensor: TensorSource, axis: number, factors: Float64Array): TensorSource {
  const { dtype, shape } = tensor.info;
  const inner = elementCount(shape.slice(axis + 1));
  const size = shape[axis] ?? 1;
  return mapped(tensor, dtype, (values, at) => {
    const out = new Float64Array(values.length);
    for (let i = 0; i < values.length; i++) {
      const index = Math.floor((at + i) / inner) % size;
      out[i] = (values[i] ?? 0) * (factors[index] ?? 1);
    }
    return encoded(dtype, out);
  });
}

export const reciprocal = (factors: Float64Array): Float64Array => factors.map((factor) => 1 / factor);
