import type { TensorSource } from '../../core/tensor.js';
import type { AffineSpec, Parameters } from './affine.js';
import { Groups } from './groups.js';
import { Rounder } from './rounder.js';
import { f32Values } from './values.js';

/** Shares of the range that are tried. */
export const SHARES = [1, 0.97, 0.94, 0.91, 0.88, 0.85, 0.82, 0.78, 0.74, 0.7, 0.65, 0.6, 0.55, 0.5];

/**
 * Scales with the least squared error: large values may be clipped so that the many others are rounded more finely.
 * Zero points stay. A pass over the values for each share that is tried; memory for the groups only.
 */
export async function leastSquares(
  tensor: TensorSource,
  spec: AffineSpec,
  { scales, zeros }: Parameters,
): Promise<Parameters> {
  const groups = new Groups(tensor.info.shape, spec);
  const best = scales.slice();
  const least = new Float64Array(groups.count).fill(Number.POSITIVE_INFINITY);
  for (const share of SHARES) {
    const tried = scales.map((scale) => scale * share);
    const errors = await errorsOf(tensor, spec, groups, tried, zeros);
    errors.forEach((error, i) => {
      if (error >= (least[i] ?? 0)) return;
      least[i] = error;
      best[i] = tried[i] ?? 0;
    });
  }
  return { scales: best, zeros };
}

/** Squared error of every group. */
async function errorsOf(
  tensor: TensorSource,
  spec: AffineSpec,
  groups: Groups,
  scales: Float32Array,
  zeros: Int32Array,
): Promise<Float64Array> {
  const rounder = new Rounder(spec.dtype, groups, scales, zeros, spec.rule ?? 'linear');
  const errors = new Float64Array(groups.count);
  for await (const { at, values } of f32Values(tensor)) {
    const back = rounder.dequantized(values, at);
    groups.visit(at, at + values.length, (start, length, group, steps) => {
      const step = steps ? 1 : 0;
      for (let i = start - at, g = group; i < start - at + length; i++, g += step)
        errors[g] = (errors[g] ?? 0) + ((values[i] ?? 0) - (back[i] ?? 0)) ** 2;
    });
  }
  return errors;
}
