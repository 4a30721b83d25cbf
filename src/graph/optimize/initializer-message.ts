import type { TensorInfo } from '../../core/tensor.js';
import { onnxTypeOf } from '../../formats/onnx/dtypes.js';
import { create, type TensorProto } from '../../formats/onnx/schema.js';

/** The message of an initializer: the one it was read with if that still says the same, else a new one. */
export function initializerMessage(
  name: string,
  { dtype, shape }: TensorInfo,
  before: TensorProto | undefined,
): TensorProto {
  const dataType = onnxTypeOf(dtype)?.id;
  const same =
    before?.dataType === dataType &&
    before?.dims.length === shape.length &&
    before.dims.every((dim, i) => Number(dim) === shape[i]);
  if (before && same) return before;
  return create('TensorProto', { name, dims: shape.map(BigInt), ...(dataType ? { dataType } : {}) });
}
