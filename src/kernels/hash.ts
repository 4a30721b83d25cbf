import type { WorkContext } from '../core/format.js';
import type { TensorSource } from '../core/tensor.js';
import { sha256Hasher } from '../io/hashing.js';
import { checkRawCrc } from './integrity.js';
import { interrupted } from './messages.js';
import { withPool } from './pool.js';
import { programOf } from './program.js';
import type { HashTask } from './tasks.js';
import { together } from './together.js';

/**
 * SHA-256 (hex) of the canonical bytes of every tensor, in order. A digest is serial, so a tensor is one task;
 * the longest go first.
 */
export async function hashTensors(tensors: readonly TensorSource[], context: WorkContext): Promise<string[]> {
  const hashes: string[] = tensors.map(() => '');
  const tasks: { readonly index: number; readonly task: HashTask }[] = [];
  const streamed: number[] = [];
  tensors.forEach((tensor, index) => {
    const program = programOf(tensor);
    if (program) tasks.push({ index, task: { kind: 'hash', program, start: 0, end: program.count } });
    else streamed.push(index);
  });
  tasks.sort((x, y) => y.task.end * y.task.program.inBits - x.task.end * x.task.program.inBits);
  await withPool(context, (pool) =>
    together(context.signal, [
      async (signal) => {
        const results = await pool.run(
          tasks.map(({ task }) => task),
          signal,
        );
        tasks.forEach(({ index, task }, i) => {
          const result = results[i] ?? {};
          checkRawCrc(task.program, [task], [result]);
          hashes[index] = result.sha256 ?? '';
        });
      },
      async (signal) => {
        for (const index of streamed) {
          const tensor = tensors[index];
          if (tensor) hashes[index] = await hashStream(tensor, context, signal);
        }
      },
    ]),
  );
  return hashes;
}

async function hashStream(tensor: TensorSource, context: WorkContext, signal: AbortSignal): Promise<string> {
  const hasher = sha256Hasher();
  for await (const chunk of tensor.stream()) {
    if (signal.aborted) throw interrupted();
    hasher.update(chunk);
    context.progress.advance(chunk.byteLength);
  }
  return hasher.digest('hex');
}
