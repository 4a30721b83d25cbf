import type { WorkContext } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';
import { castTensor } from '../../kernels/cast.js';
import { type HalfLoss, halfLosses } from '../../kernels/quantize/half-pool.js';
import { overflowOf, saturatedCast } from '../../kernels/saturate.js';
import { statTensors, type TensorStats } from '../../kernels/statistics.js';
import { type Half, moves } from './half-operators.js';
import { type Fit, type Frame, framesOf, type Use, type Value } from './half-values.js';

/** What rounds to zero. */
const VANISHES = { f16: 2 ** -25, bf16: 0 } as const;

/** Weights in bf16 reach as far as f32: only small tensors are looked at there, for masks. */
const LARGEST_MASK_BF16 = 1 << 20;
/** What is added to hide something: exporters use -1e9, -1e30, the lowest f32 …; less may be a quantity. */
const HIDES = -1e8;

/** Larger tensors are rounded on trial, all at once: their errors are wanted anyway, and tell that they fit. */
const LEAST_TRIED = 1 << 16;

/** Finds out what each constant becomes in half, and what rounding did to the large ones. Reads most tensors once. */
export async function fitConstants(
  main: Frame,
  half: Half,
  context: WorkContext,
): Promise<ReadonlyMap<TensorSource, HalfLoss>> {
  const all = [...framesOf(main)].flatMap((frame) =>
    [...frame.values.values()].flatMap(({ tensor }) => tensor ?? []),
  );
  context.shared?.foresee(all.map((tensor) => castTensor(tensor, half)));
  const losses = await halfLosses(
    all.filter(({ byteLength }) => byteLength >= LEAST_TRIED),
    half,
    context,
  );
  const fitting = (tensor: TensorSource): boolean => {
    const loss = losses.get(tensor);
    return loss?.finite === true && !loss.vanished;
  };
  const values = [...framesOf(main)].flatMap((frame) =>
    [...frame.values.values()].filter(
      ({ tensor }) =>
        tensor && !fitting(tensor) && (half === 'f16' || tensor.byteLength <= LARGEST_MASK_BF16),
    ),
  );
  const stats = await statTensors(
    values.flatMap(({ tensor }) => tensor ?? []),
    context,
  );
  for (const [i, value] of values.entries()) {
    const found = stats[i];
    if (!found) continue;
    value.fit = fitOf(value, found, half);
    if (found.count === 1) value.scalar = found.min ?? undefined;
  }
  return losses;
}

function fitOf(value: Value, stats: TensorStats, half: Half): Fit {
  const { min, max } = stats;
  if (min === null || max === null) return 'fits';
  const reach = Math.max(-min, max);
  if (reach >= overflowOf(half)) return isMask(value, min, max, half) ? 'mask' : 'large';
  return reach > 0 && reach <= VANISHES[half] ? 'tiny' : 'fits';
}

/** Takers of a value, past nodes that only hand it on. */
function* takers(value: Value, half: Half, depth = 0): Generator<Use> {
  for (const use of value.uses) {
    const { site } = use;
    const [output] = site.outputs;
    if (depth < 8 && output && moves(site.operator, half)) yield* takers(output, half, depth + 1);
    else yield use;
  }
}

/**
 * Numbers that stand for "never" or "without limit": bounds and the values that Where and Pad put in say it in any
 * type with its own largest number. What is added or multiplied must be far below zero, or zero.
 */
function isMask(value: Value, min: number, max: number, half: Half): boolean {
  const uses = [...takers(value, half)];
  if (uses.length === 0 || value.isOutput) return false;
  return uses.every(({ site, index }) => {
    switch (site.operator) {
      case 'Where':
      case 'Max':
      case 'Min':
        return true;
      case 'Clip':
        return index > 0;
      case 'Pad':
        return index === 2;
      case 'Add':
      case 'Mul':
      case 'Sub':
        return max <= 0 && min <= HIDES;
      default:
        return false;
    }
  });
}

/** A constant in half, computed as its bytes are pulled. */
export const halfTensor = (tensor: TensorSource, half: Half, fit: Fit): TensorSource =>
  fit === 'mask' ? saturatedCast(tensor, half) : castTensor(tensor, half);
