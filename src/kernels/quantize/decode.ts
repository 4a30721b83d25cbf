import { type DType, elementCount, tensorBytes } from '../../core/dtype.js';
import type { Decoding } from '../../core/recipe.js';
import type { TensorSource } from '../../core/tensor.js';
import { castTensor, streamThrough } from '../cast.js';

/** The numbers of type `to` that stored codes stand for; computed when they are pulled. */
export function decodedTensor(
  stored: TensorSource,
  shape: readonly number[],
  to: DType,
  decoding: Decoding,
): TensorSource {
  const { recipe, role, info } = stored;
  const byteLength = tensorBytes('f32', shape, info.name);
  const step = { op: 'decode', decoding } as const;
  const bits = { inBits: decoding.bits, outBits: 32 };
  const values: TensorSource = {
    info: { name: info.name, dtype: 'f32', shape },
    byteLength,
    ...(role === undefined ? {} : { role }),
    ...(recipe === undefined ? {} : { recipe: { ...recipe, ops: [...recipe.ops, step] } }),
    stream: (range = { start: 0, end: byteLength }) =>
      streamThrough(stored, [step], bits, elementCount(shape, info.name), range),
  };
  return castTensor(values, to);
}

/** A copy in memory that threads share: workers are handed the place, not the numbers. */
export function shared<T extends Float32Array | Float64Array | Int32Array>(values: T): T {
  const memory = new SharedArrayBuffer(values.byteLength);
  const copy = new (values.constructor as new (buffer: SharedArrayBuffer) => T)(memory);
  copy.set(values);
  return copy;
}
