import { type DType, isFloat } from '../core/dtype.js';
import type { Model } from '../core/model.js';
import type { TensorSource } from '../core/tensor.js';
import type { SyncTransform } from '../core/transform.js';
import { MlserError } from '../errors.js';
import { canCast, castTensor } from '../kernels/cast.js';

export interface CastOptions {
  readonly dtype: DType;
  /** Which tensors; the default is every floating-point tensor. */
  readonly select?: (tensor: TensorSource) => boolean;
}

/** Every floating-point tensor. */
export const CAST_DEFAULTS = { select: (tensor: TensorSource) => isFloat(tensor.info.dtype) } as const;

/**
 * Converts tensors to another number type: round to nearest even, exact to the references (kernels/cast).
 *
 * @example
 * cast({ dtype: 'bf16' }).apply(model)
 */
export function cast(options: CastOptions): SyncTransform {
  const { dtype, select } = { ...CAST_DEFAULTS, ...options };
  const convert = (tensor: TensorSource): TensorSource => {
    const { name, dtype: from } = tensor.info;
    if (from === dtype || !select(tensor)) return tensor;
    if (!canCast(from, dtype))
      throw new MlserError(
        'E_UNSUPPORTED',
        `tensor ${JSON.stringify(name)}: no conversion from ${from} to ${dtype}`,
        {
          details: { tensor: name, from, to: dtype },
          hint: 'leave it as it is with --exclude, or choose another --dtype',
        },
      );
    return castTensor(tensor, dtype);
  };
  return {
    name: `cast to ${dtype}`,
    apply: (model: Model): Model => ({ ...model, tensors: model.tensors.map(convert) }),
  };
}
