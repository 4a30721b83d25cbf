import type { TensorSource } from '../../core/tensor.js';
import type { AffineSpec, Parameters } from './affine.js';
import { Groups } from './groups.js';
import { SquaredErrors } from './squared-errors.js';
import { f32Values } from './values.js';

/** Shares of the range that are tried. */
export const SHARES = [1, 0.97, 0.94, 0.91, 0.88, 0.85, 0.82, 0.78, 0.74, 0.7, 0.65, 0.6, 0.55, 0.5];

/** Bytes of the errors of all groups that are counted at a time. */
const MOST_BYTES = 32 << 20;

/**
 * Scales with the least squared error: large values may be clipped so that the many others are rounded more finely.
 * Zero points stay. One pass over the values for all shares, or a few where there are many groups; memory for the groups only.
 */
export async function leastSquares(
  tensor: TensorSource,
  spec: AffineSpec,
  { scales, zeros }: Parameters,
): Promise<Parameters> {
  const groups = new Groups(tensor.info.shape, spec);
  const best = scales.slice();
  const least = new Float64Array(groups.count).fill(Number.POSITIVE_INFINITY);
  const step = Math.max(1, Math.floor(MOST_BYTES / (groups.count * 8)));
  for (let first = 0; first < SHARES.length; first += step) {
    const tried = SHARES.slice(first, first + step).map((share) => scales.map((scale) => scale * share));
    const squares = new SquaredErrors(spec, groups, tried, zeros);
    for await (const { at, values } of f32Values(tensor)) squares.add(values, at);
    for (const [k, errors] of squares.all.entries())
      errors.forEach((error, i) => {
        if (error >= (least[i] ?? 0)) return;
        least[i] = error;
        best[i] = tried[k]?.[i] ?? 0;
      });
  }
  return { scales: best, zeros };
}
