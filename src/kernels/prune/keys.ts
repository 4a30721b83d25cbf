import { type DType, dtypeFacts } from '../../core/dtype.js';
import type { ZeroRule } from '../../core/recipe.js';
import type { TensorSource } from '../../core/tensor.js';
import { castTensor } from '../cast.js';
import { Pipeline, runInMemory } from '../pipeline.js';
import { magnitudeAt } from '../reference/prune.js';

/** Floats whose bits without the sign are ordered as absolute values are. */
export const PRUNED_TYPES = ['f64', 'f32', 'f16', 'bf16'] as const;
export type PrunedType = (typeof PRUNED_TYPES)[number];

export const isPrunedType = (dtype: DType): dtype is PrunedType =>
  PRUNED_TYPES.some((known) => known === dtype);

export const widthOf = (dtype: PrunedType): 2 | 4 | 8 => {
  const { bits } = dtypeFacts(dtype);
  return bits === 64 ? 8 : bits === 32 ? 4 : 2;
};

/** Bytes of the floats in which tensors are ranked together: widening is exact and keeps the order. */
export const keyWidth = (tensors: readonly TensorSource[]): 4 | 8 =>
  tensors.some(({ info }) => info.dtype === 'f64') ? 8 : 4;

/** The tensor in these floats. */
export const asKeys = (tensor: TensorSource, width: 4 | 8): TensorSource =>
  castTensor(tensor, width === 8 ? 'f64' : 'f32');

/** Magnitude of an element of a type once it is widened to `width` bytes. */
function widened(dtype: PrunedType, magnitude: bigint, width: 4 | 8): bigint {
  const own = widthOf(dtype);
  if (own === width) return magnitude;
  const bytes = new Uint8Array(own);
  for (let i = 0; i < own; i++) bytes[i] = Number((magnitude >> BigInt(8 * i)) & 0xffn);
  const to = width === 8 ? 'f64' : 'f32';
  return magnitudeAt(
    runInMemory(new Pipeline([{ op: 'cast', from: dtype, to }], own * 8), bytes, 1),
    0,
    width,
  );
}

interface Narrowed {
  readonly below: bigint;
  readonly same: boolean;
}

/** What was asked for last of each type: models have many tensors and one magnitude. */
const last = new Map<PrunedType, Narrowed & { readonly magnitude: bigint; readonly width: 4 | 8 }>();

/**
 * What is below a magnitude of the wide floats, in the floats of a tensor: the least of its magnitudes that is not, and
 * whether that is the same number.
 */
export function narrowed(dtype: PrunedType, magnitude: bigint, width: 4 | 8): Narrowed {
  const known = last.get(dtype);
  if (known?.magnitude === magnitude && known.width === width) return known;
  const found = { ...searched(dtype, magnitude, width), magnitude, width };
  last.set(dtype, found);
  return found;
}

function searched(dtype: PrunedType, magnitude: bigint, width: 4 | 8): Narrowed {
  let [low, high] = [0n, 1n << BigInt(widthOf(dtype) * 8 - 1)];
  const end = high;
  while (low < high) {
    const middle = (low + high) / 2n;
    if (widened(dtype, middle, width) >= magnitude) high = middle;
    else low = middle + 1n;
  }
  return { below: low, same: low < end && widened(dtype, low, width) === magnitude };
}

/** The rule for a tensor: everything below a magnitude of the wide floats goes, and ties in front of a position. */
export function ruleFor(dtype: PrunedType, magnitude: bigint, width: 4 | 8, tiesBefore: number): ZeroRule {
  const { below, same } = narrowed(dtype, magnitude, width);
  return { width: widthOf(dtype), below, tiesBefore: same ? tiesBefore : 0 };
}

/** The magnitude of a double that is not negative. */
export function magnitudeOf(value: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return view.getBigUint64(0);
}
