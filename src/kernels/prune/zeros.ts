import { NO_PROGRESS, type WorkContext } from '../../core/format.js';
import type { Rides } from '../../core/shared-work.js';
import type { TensorSource } from '../../core/tensor.js';
import { checkRawCrc } from '../integrity.js';
import type { Passenger } from '../passengers.js';
import { type Program, programOf } from '../program.js';
import { rideAlong } from '../ride-along.js';
import { statTensors } from '../statistics.js';
import { summarize } from '../statistics-summary.js';

/**
 * How many elements of every tensor of numbers are zero, in order; with `rides` those of files are
 * counted where others read them too. E_INTERRUPTED on abort.
 */
export async function countZeros(
  tensors: readonly TensorSource[],
  context: WorkContext,
  rides?: Rides,
): Promise<readonly number[]> {
  const counted = tensors.flatMap((tensor) => {
    const program = programOf(tensor);
    return program ? [{ tensor, passenger: counting(tensor, program) }] : [];
  });
  const zeros = new Map<TensorSource, number>();
  const riding = rideAlong(
    counted.map(({ passenger }) => passenger),
    context,
    rides,
  );
  const streamed = tensors.filter((tensor) => !programOf(tensor));
  const [ridden, figures] = await Promise.all([
    riding,
    streamed.length > 0 ? statTensors(streamed, { ...context, progress: NO_PROGRESS }) : [],
  ]);
  for (const [i, { tensor, passenger }] of counted.entries()) {
    const { tasks = [], results = [] } = ridden[i] ?? {};
    checkRawCrc(passenger.program, tasks, results);
    const parts = results.flatMap(({ statistics }) => statistics ?? []);
    zeros.set(tensor, summarize(tensor.info, parts, false).zeros);
  }
  for (const [i, tensor] of streamed.entries()) zeros.set(tensor, figures[i]?.zeros ?? 0);
  return tensors.map((tensor) => zeros.get(tensor) ?? 0);
}

const counting = ({ info: { dtype } }: TensorSource, program: Program): Passenger => ({
  program,
  inOrder: false,
  part: (start, end) => ({ kind: 'statistics', program, dtype, detail: false, start, end }),
});
