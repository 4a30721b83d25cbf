import type { WorkContext } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';
import { type HalfTask, rangesOf } from '../tasks.js';
import { type LossFigures, lossOf } from './loss.js';
import { withReadable } from './readable.js';

/** Elements that one task does. */
const TASK_ELEMENTS = 4 << 20;

export interface HalfLoss extends LossFigures {
  /** All became zero, though some were not. */
  readonly vanished: boolean;
}

/** Squares of very large and very small numbers are none of f32: such tensors are measured with doubles. */
const countable = ({ finite, maxAbs, rmse }: HalfLoss): boolean =>
  !finite || (Number.isFinite(rmse) && (maxAbs === 0 || rmse > 0));

/**
 * What rounding to f16 or bf16 would do to f32 tensors, found by the pool in one read. `finite` is false if a value is NaN,
 * infinite or would become so. Others (small ones that no file holds, other types, squares beyond f32) are missing.
 *
 * @throws E_INTEGRITY where what is read has not the sum that its file records.
 */
export async function halfLosses(
  tensors: readonly TensorSource[],
  half: 'f16' | 'bf16',
  context: WorkContext,
): Promise<ReadonlyMap<TensorSource, HalfLoss>> {
  const single = tensors.filter(({ info }) => info.dtype === 'f32');
  return withReadable(single, context, async (readable) => {
    const plans = single.flatMap((tensor) => {
      const program = readable.program(tensor);
      if (!program) return [];
      const tasks = rangesOf(program.count, TASK_ELEMENTS).map(
        (range): HalfTask => ({ kind: 'half', program, half, ...range }),
      );
      return [{ tensor, tasks, count: program.count }];
    });
    const results = await readable.run(plans.flatMap(({ tasks }) => tasks));
    let at = 0;
    return new Map(
      plans
        .map(({ tensor, tasks, count }) => {
          const parts = results.slice(at, at + tasks.length).flatMap(({ errors }) => errors ?? []);
          at += tasks.length;
          const [aa, bb] = [1, 2].map((i) => parts.reduce((sum, part) => sum + (part[i] ?? 0), 0));
          return [tensor, { ...lossOf(parts, count), vanished: aa !== 0 && bb === 0 }] as const;
        })
        .filter(([, loss]) => countable(loss)),
    );
  });
}
