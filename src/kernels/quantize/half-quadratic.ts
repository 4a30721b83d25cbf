import type { TensorSource } from '../../core/tensor.js';
import { type AffineSpec, heldScales, type Parameters } from './affine.js';
import { Groups } from './groups.js';
import { integersOf } from './integers.js';
import { roundHalfEven } from './parameters.js';
import { Rounder } from './rounder.js';
import { f32Values } from './values.js';

/** Of the norm of errors that is made small: below 1, so that a few large ones count little. */
const NORM = 0.7;
/** How near errors are taken to what the norm leaves of them, and how this grows; in steps of the scale. */
const [BETA, KAPPA] = [10, 1.01];
const ITERATIONS = 20;
/** Turns end where the whole error sinks by less than this share. */
const WORTH = 1e-3;

/** Powers of errors below a step, by parts of it: an exponential for each value would take most of the time. */
const PARTS = 1024;
const POWERS = Float64Array.from({ length: PARTS }, (_, i) => ((i + 0.5) / PARTS) ** (NORM - 1));

/**
 * Half-quadratic quantization (Badri and Shaji 2023, "Half-Quadratic Quantization of Large Machine Learning Models"):
 * scale and zero point of every group without data. In turns, errors are split into what the norm makes of them (large
 * ones stay, small ones vanish) and the rest, and the parameters that fit the rest best are found by least squares. The
 * paper moves the zero point alone, as a float; here it stays an integer, as operators want it, and the scale moves
 * too. Kept is what had the least squared error, so no group gets worse. A pass over the values for each turn; memory
 * for the groups only.
 */
export async function halfQuadratic(
  tensor: TensorSource,
  spec: AffineSpec,
  start: Parameters,
): Promise<Parameters> {
  const groups = new Groups(tensor.info.shape, spec);
  const best = { scales: start.scales.slice(), zeros: start.zeros.slice() };
  const least = new Float64Array(groups.count).fill(Number.POSITIVE_INFINITY);
  const type = spec.scaleType ?? 'f32';
  let tried: Parameters = { scales: heldScales(type, start.scales), zeros: start.zeros };
  for (let turn = 0, beta = BETA; turn <= ITERATIONS; turn++, beta *= KAPPA) {
    const seen = await fitted(tensor, spec, groups, tried, beta);
    let [sunk, total] = [0, 0];
    for (let g = 0; g < groups.count; g++) {
      const [error, before] = [seen.errors[g] ?? 0, least[g] ?? 0];
      total += Math.min(error, before);
      if (error >= before) continue;
      sunk += before - error;
      least[g] = error;
      best.scales[g] = tried.scales[g] ?? 0;
      best.zeros[g] = tried.zeros[g] ?? 0;
    }
    if (sunk <= total * WORTH) break;
    const next = moved(seen, tried, spec);
    tried = { scales: heldScales(type, next.scales), zeros: next.zeros };
  }
  return best;
}

/** Sums over the groups: of squared errors, and of integers q and values t for a line t = s·(q − z). */
interface Sums {
  readonly errors: Float64Array;
  readonly n: Float64Array;
  readonly q: Float64Array;
  readonly t: Float64Array;
  readonly qq: Float64Array;
  readonly qt: Float64Array;
}

async function fitted(
  tensor: TensorSource,
  spec: AffineSpec,
  groups: Groups,
  { scales, zeros }: Parameters,
  beta: number,
): Promise<Sums> {
  const rounder = new Rounder(spec.dtype, groups, scales, zeros, spec.rule ?? 'linear');
  const empty = (): Float64Array => new Float64Array(groups.count);
  const sums = { errors: empty(), n: empty(), q: empty(), t: empty(), qq: empty(), qt: empty() };
  const { errors, n, q: sumQ, t: sumT, qq, qt } = sums;
  for await (const { at, values } of f32Values(tensor)) {
    const integers = rounder.integers(values, at);
    groups.visit(at, at + values.length, (first, length, group, steps) => {
      const step = steps ? 1 : 0;
      for (let i = first - at, g = group; i < first - at + length; i++, g += step) {
        const q = integers[i] ?? 0;
        const scale = scales[g] ?? 0;
        const value = values[i] ?? 0;
        const error = value - Math.fround((q - (zeros[g] ?? 0)) * scale);
        const t = value - shrunk(error, Math.abs(scale), beta);
        errors[g] = (errors[g] ?? 0) + error * error;
        n[g] = (n[g] ?? 0) + 1;
        sumQ[g] = (sumQ[g] ?? 0) + q;
        sumT[g] = (sumT[g] ?? 0) + t;
        qq[g] = (qq[g] ?? 0) + q * q;
        qt[g] = (qt[g] ?? 0) + q * t;
      }
    });
  }
  return sums;
}

/** What of an error the norm lets stand: the generalized soft threshold. */
function shrunk(error: number, scale: number, beta: number): number {
  if (scale === 0) return 0;
  const steps = Math.abs(error) / scale;
  const power = steps < 1 ? (POWERS[(steps * PARTS) | 0] ?? 1) : steps ** (NORM - 1);
  const left = steps - power / beta;
  return left <= 0 ? 0 : error < 0 ? -left * scale : left * scale;
}

/** The line through the points, with a zero point that is an integer. */
function moved({ n, q, t, qq, qt }: Sums, before: Parameters, { dtype }: AffineSpec): Parameters {
  const { low, high } = integersOf(dtype);
  const scales = before.scales.slice();
  const zeros = before.zeros.slice();
  for (let g = 0; g < scales.length; g++) {
    const [count, sumQ, sumT] = [n[g] ?? 0, q[g] ?? 0, t[g] ?? 0];
    const [squares, products] = [qq[g] ?? 0, qt[g] ?? 0];
    const spread = squares * count - sumQ * sumQ;
    const slope = (products * count - sumQ * sumT) / spread;
    if (!(spread > 0) || slope === 0) continue;
    const exact = sumQ / count - sumT / count / slope;
    const zero = Math.min(high, Math.max(low, roundHalfEven(exact)));
    const scale = (products - zero * sumT) / (squares - 2 * zero * sumQ + zero * zero * count);
    if (!Number.isFinite(scale) || scale * slope <= 0) continue;
    scales[g] = scale;
    zeros[g] = zero;
  }
  return { scales, zeros };
}
