import type { ZeroRule } from '../../core/recipe.js';
import type { TensorSource } from '../../core/tensor.js';
import { isPrunedType, magnitudeOf, ruleFor } from './keys.js';

/** Every element whose absolute value is below a number, which need not be one of the tensor's type. */
export function below({ info: { dtype, name } }: TensorSource, threshold: number): ZeroRule {
  if (!isPrunedType(dtype)) throw new Error(`${name} is ${dtype}`);
  return ruleFor(dtype, magnitudeOf(threshold), 8, 0);
}
