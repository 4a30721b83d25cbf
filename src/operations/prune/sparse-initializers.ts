import { type DType, elementBytes, elementCount } from '../../core/dtype.js';
import type { FormatDescriptor } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { replaceableInitializers } from '../../graph/replaceable.js';
import type { Candidate } from './choose.js';

/** Bytes of the position that a sparse initializer has for every value (onnx.proto: int64). */
const POSITION_BYTES = 8;

/** A model with more weights is run in parts, which sparse initializers cannot be cut into (graph/partition.ts). */
const MOST_BYTES = 256 * 1024 * 1024;

/** IR version from which the specification has sparse initializers (onnx.proto: IR_VERSION_2019_9_19). */
const SPARSE_IR = 6;

/** Whether the output may have initializers that are stored as positions and values. */
export function takesSparse({ graph, tensors }: Model, target: FormatDescriptor, external: boolean): boolean {
  const total = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return (
    target.id === 'onnx' &&
    graph !== undefined &&
    graph.irVersion >= SPARSE_IR &&
    !external &&
    total <= MOST_BYTES
  );
}

/**
 * Initializers of an ONNX output that are smaller as positions and values, and how many values each has left, where
 * candidates have so many `zeros`. onnxruntime (1.30) unpacks them when it loads, for all operators and types alike.
 */
export function sparseInitializers(
  model: Model,
  candidates: readonly Candidate[],
  zeros: readonly number[],
): ReadonlyMap<string, number> {
  const free = replaceableInitializers(model);
  return new Map(
    candidates.flatMap(({ tensor: { info, byteLength }, names }, i) => {
      const left = elementCount(info.shape, info.name) - (zeros[i] ?? 0);
      const pays = sparseBytes(info.dtype, left) < byteLength;
      return pays && names.every((name) => free.has(name)) ? names.map((name) => [name, left] as const) : [];
    }),
  );
}

/** Bytes of so many values with their positions. */
export const sparseBytes = (dtype: DType, count: number): number =>
  count * ((elementBytes(dtype) ?? 0) + POSITION_BYTES);

/** Share of zeros above which that is less than all values. */
export const sparsePays = (dtype: DType): number =>
  POSITION_BYTES / ((elementBytes(dtype) ?? 0) + POSITION_BYTES);
