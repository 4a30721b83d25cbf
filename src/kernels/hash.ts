import type { WorkContext } from '../core/format.js';
import type { Rides } from '../core/shared-work.js';
import type { TensorSource } from '../core/tensor.js';
import { sha256Hasher } from '../io/hashing.js';
import { checkRawCrc } from './integrity.js';
import { interrupted } from './messages.js';
import type { Passenger } from './passengers.js';
import { type Program, programOf } from './program.js';
import { rideAlong } from './ride-along.js';
import { together } from './together.js';

/**
 * SHA-256 (hex) of the canonical bytes of every tensor, in order. A digest is serial, so a tensor is gone through in order,
 * with `rides` where others read it too.
 */
export async function hashTensors(
  tensors: readonly TensorSource[],
  context: WorkContext,
  rides?: Rides,
): Promise<string[]> {
  const hashes: string[] = tensors.map(() => '');
  const passengers: { readonly index: number; readonly passenger: Passenger }[] = [];
  const streamed: number[] = [];
  tensors.forEach((tensor, index) => {
    const program = programOf(tensor);
    if (program) passengers.push({ index, passenger: hashing(program) });
    else streamed.push(index);
  });
  await together(context.signal, [
    async (signal) => {
      const ridden = await rideAlong(
        passengers.map(({ passenger }) => passenger),
        { ...context, signal },
        rides,
      );
      ridden.forEach(({ tasks, results }, i) => {
        const { index = 0, passenger } = passengers[i] ?? {};
        if (passenger) checkRawCrc(passenger.program, tasks, results);
        hashes[index] = results.at(-1)?.sha256 ?? '';
      });
    },
    async (signal) => {
      for (const index of streamed) {
        const tensor = tensors[index];
        if (tensor) hashes[index] = await hashStream(tensor, context, signal);
      }
    },
  ]);
  return hashes;
}

const hashing = (program: Program): Passenger => ({
  program,
  inOrder: true,
  part: (start, end) => ({ kind: 'hash', program, start, end }),
});

async function hashStream(tensor: TensorSource, context: WorkContext, signal: AbortSignal): Promise<string> {
  const hasher = sha256Hasher();
  for await (const chunk of tensor.stream()) {
    if (signal.aborted) throw interrupted();
    hasher.update(chunk);
    context.progress.advance(chunk.byteLength);
  }
  return hasher.digest('hex');
}
