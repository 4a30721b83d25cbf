import { elementCount } from '../../core/dtype.js';
import { memoryTensor, readTensor, type TensorSource } from '../../core/tensor.js';
import { decodeElements, encodeElements, packedBytes } from '../../kernels/elements.js';
import { transposed } from '../../kernels/factor/truncated.js';
import type { Consumer } from './consumers.js';

/** The numbers of a tensor. */
export async function numbersOf(tensor: TensorSource): Promise<Float64Array> {
  const { dtype, shape, name } = tensor.info;
  const count = elementCount(shape, name);
  const values = new Float64Array(count);
  decodeElements(dtype, await readTensor(tensor), count, values);
  return values;
}

/** A tensor of the same type and shape with other numbers. */
export function withNumbers({ info }: Pick<TensorSource, 'info'>, values: Float64Array): TensorSource {
  const bytes = new Uint8Array(packedBytes(info.dtype, values.length));
  encodeElements(info.dtype, values, values.length, bytes);
  return memoryTensor(info, bytes);
}

/** A weight as outputs × columns. */
export async function matrixOf(
  { outputsFirst, outputs }: Consumer,
  tensor: TensorSource,
): Promise<Float64Array> {
  const values = await numbersOf(tensor);
  return outputsFirst ? values : transposed(values, values.length / outputs, outputs);
}

/** … and as it is stored. */
export const fromMatrix = ({ outputsFirst, outputs }: Consumer, matrix: Float64Array): Float64Array =>
  outputsFirst ? matrix : transposed(matrix, outputs, matrix.length / outputs);
