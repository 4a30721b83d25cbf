import { type DType, elementCount } from '../../core/dtype.js';
import type { WorkContext } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';
import { type Finding, finding, MlserError } from '../../errors.js';
import { compareTensors } from '../../kernels/compare.js';
import type { Lossy } from './lossy-words.js';

/** A tensor that is rounded: what it is, builds on, and comes back as. */
export interface RoundedTensor {
  readonly base: TensorSource;
  readonly next: TensorSource;
  readonly result: TensorSource;
  readonly how: Lossy;
}

/** Largest error, as a share of the largest change of the tensor: half an ulp of bf16; one step of 127. */
const SHARES = { 'bf16-delta': 2 ** -8, 'int8-delta': 1 / 127 } as const;
/** Sums are rounded to the type: relative to the largest value. */
const EPSILON = new Map<DType, number>([
  ['f32', 2 ** -22],
  ['f16', 2 ** -10],
  ['bf16', 2 ** -7],
]);

/**
 * Holds what comes back against what each method promises, by comparing values and not by rounding again. Says the
 * largest error as a share of the change.
 *
 * @throws E_VALIDATION naming the tensor that is outside.
 */
export async function holdToBounds(
  rounded: readonly RoundedTensor[],
  context: WorkContext,
): Promise<Finding[]> {
  const pairs = rounded.flatMap(({ base, next, result }) => [
    { a: next, b: base },
    { a: next, b: result },
    { a: base, b: result },
  ]);
  const found = await compareTensors(pairs, context, { figures: true });
  let worst = { share: 0, name: '' };
  rounded.forEach(({ next, how }, i) => {
    const [change, error, moved] = found.slice(3 * i, 3 * i + 3);
    if (!change || !error || !moved) return;
    const { name, dtype, shape } = next.info;
    if (typeof how !== 'string') {
      const allowed = Math.ceil(elementCount(shape, name) * how.topk);
      if (moved.changed > allowed) throw outside(name, `${moved.changed} elements change, ${allowed} may`);
      return;
    }
    // Chunks with infinities or NaN stay exact: their change has no size.
    if (!Number.isFinite(change.maxAbs)) return;
    const { min = 0, max = 0 } = error.figures ?? {};
    const largest = Math.max(Math.abs(Number(min)), Math.abs(Number(max)));
    const bound = change.maxAbs * SHARES[how] + largest * (EPSILON.get(dtype) ?? 0);
    if (error.maxAbs > bound) throw outside(name, `its error is ${error.maxAbs}, ${bound} was promised`);
    const share = change.maxAbs === 0 ? 0 : error.maxAbs / change.maxAbs;
    if (share > worst.share) worst = { share, name };
  });
  if (worst.share === 0) return [];
  const percent = (100 * worst.share).toPrecision(3);
  return [
    finding('info', 'LOSSY_ERROR', worst.name, `largest error: ${percent} % of the largest change, here`),
  ];
}

const outside = (tensor: string, why: string): MlserError =>
  new MlserError(
    'E_VALIDATION',
    `tensor ${JSON.stringify(tensor)} is rounded further than was promised: ${why}`,
    {
      details: { tensor },
      hint: 'this is a fault of ours: leave --lossy out, and report it',
    },
  );
