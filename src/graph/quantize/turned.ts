import { elementCount } from '../../core/dtype.js';
import { readTensor, type TensorSource } from '../../core/tensor.js';
import type { ByteSource } from '../../io/source.js';
import { stridedTensor } from '../../kernels/strided.js';

/** The same elements under another shape. */
export const reshaped = (tensor: TensorSource, shape: readonly number[]): TensorSource => ({
  ...tensor,
  info: { ...tensor.info, shape },
});

/** A tensor whose last two axes change places, gathered in bounded memory from what the other computes. */
export function turnedTensor(tensor: TensorSource): TensorSource {
  const { shape } = tensor.info;
  const rank = shape.length;
  const strides = shape.map((_, axis) => elementCount(shape.slice(axis + 1)));
  const swapped = (list: readonly number[]): readonly number[] => [
    ...list.slice(0, rank - 2),
    ...list.slice(rank - 1),
    ...list.slice(rank - 2, rank - 1),
  ];
  const { stream: _, location: __, recipe: ___, ...rest } = tensor;
  const turned = stridedTensor({ ...tensor.info, shape: swapped(shape) }, sourceOf(tensor), {
    byteOffset: 0,
    strides: swapped(strides),
  });
  return { ...rest, ...turned };
}

/** Bytes that a tensor computes, readable at any place. Each window of the view computes them again: few large ones. */
const sourceOf = (tensor: TensorSource): ByteSource => ({
  name: tensor.info.name,
  size: tensor.byteLength,
  derived: true,
  sequential: true,
  read: (offset, length) => {
    const part = { start: offset, end: offset + length };
    return readTensor({ ...tensor, byteLength: length, stream: () => tensor.stream(part) });
  },
});
