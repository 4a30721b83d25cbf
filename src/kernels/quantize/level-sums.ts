import { elementCount } from '../../core/dtype.js';
import { memoryTensor, type TensorSource } from '../../core/tensor.js';
import {
  type AffineSpec,
  type AffineTensor,
  integersBack,
  type Parameters,
  withParameters,
} from './affine.js';
import { encoded } from './codes.js';
import { Groups } from './groups.js';
import { integersOf } from './integers.js';
import { Rounder } from './rounder.js';
import { f32Values } from './values.js';

/** Larger weights are not held in memory for this. */
const MOST_BYTES = 64 << 20;

/**
 * A weight as integers with a scale for each index of its first axis, where the errors of every channel sum up to less
 * than half a step: as many values as needed, those nearest to the middle between two integers, are rounded the other
 * way. With few bits a channel's errors otherwise add up to an offset of what it computes, since what comes in (behind a
 * Relu) mostly has one sign; the squared error of the weight grows a little, that of the output sinks.
 * The channel step of SQuant (Guo et al., ICLR 2022, section 3.3).
 *
 * @returns undefined for what it is not made for: another axis, blocks, scales that are not f32, large weights.
 */
export async function levelled(
  tensor: TensorSource,
  spec: AffineSpec,
  parameters: Parameters,
): Promise<AffineTensor | undefined> {
  const { dtype, axis, block, scaleType = 'f32', rule = 'linear' } = spec;
  const { name, shape } = tensor.info;
  const count = elementCount(shape, name);
  if (axis !== 0 || block !== undefined || scaleType !== 'f32' || count * 4 > MOST_BYTES) return undefined;
  const groups = new Groups(shape, spec);
  const { scales, zeros } = parameters;
  const values = new Float32Array(count);
  for await (const part of f32Values(tensor)) values.set(part.values, part.at);
  const integers = new Rounder(dtype, groups, scales, zeros, rule).integers(values, 0);
  const run = count / groups.count;
  for (let group = 0; group < groups.count; group++) {
    const [from, to] = [group * run, (group + 1) * run];
    const steps = values.subarray(from, to).map((x) => x / (scales[group] || 1) + (zeros[group] ?? 0));
    level(steps, integers.subarray(from, to), integersOf(dtype));
  }
  const codes = memoryTensor({ name, dtype, shape }, encoded(dtype, Float64Array.from(integers)));
  return {
    ...withParameters(tensor, spec, parameters),
    codes,
    dequantized: integersBack(codes, { ...spec, shape }, tensor.info.dtype, parameters),
  };
}

/** Moves integers by one, the cheapest first, until their errors sum up to at most half a step. */
function level(
  steps: Float32Array,
  integers: Int32Array,
  { low, high }: { readonly low: number; readonly high: number },
): void {
  const errors = Float64Array.from(steps, (x, i) => x - (integers[i] ?? 0));
  const sum = errors.reduce((all, error) => all + error, 0);
  const sign = Math.sign(sum);
  const movable = [...errors.keys()].filter((i) => {
    const moved = (integers[i] ?? 0) + sign;
    return (errors[i] ?? 0) * sign > 0 && moved >= low && moved <= high;
  });
  // Equal errors: the earlier one, so that the same weights give the same integers.
  movable.sort((a, b) => sign * ((errors[b] ?? 0) - (errors[a] ?? 0)) || a - b);
  const wanted = Math.round(Math.abs(sum));
  for (const i of movable.slice(0, wanted)) integers[i] = (integers[i] ?? 0) + sign;
}
