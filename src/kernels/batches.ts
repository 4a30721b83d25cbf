import type { Span } from './passengers.js';
import type { Task } from './tasks.js';

/** Tasks that one worker does one after the other. */
export interface Batch {
  readonly tasks: readonly Task[];
  /** A range that several of them read: it is read once. */
  readonly window?: Span;
  /** They go through it side by side, a block each in turn, so that it need not be held as a whole. */
  readonly abreast?: boolean;
  /** What the same worker does next, with what this one has begun. */
  readonly next?: Batch;
}

/** Tasks that share nothing are sent together up to this. */
const BATCH_BYTES = 16 << 20;
const BATCH_TASKS = 256;

/** Canonical bytes that a task is about, in the file. */
const taskBytes = (task: Task): number => ((task.end - task.start) * task.program.inBits) / 8;

/** In the order in which they are done. */
export function tasksOf(batch: Batch): readonly Task[] {
  if (!batch.next) return batch.tasks;
  const tasks: Task[] = [];
  for (let one: Batch | undefined = batch; one; one = one.next) tasks.push(...one.tasks);
  return tasks;
}

export const bytesOf = (batch: Batch): number =>
  tasksOf(batch).reduce((sum, task) => sum + taskBytes(task), 0);

/** Tasks in their order, small ones together. */
export function plainBatches(tasks: readonly Task[]): Batch[] {
  const batches: Batch[] = [];
  let current: Task[] = [];
  let bytes = 0;
  for (const task of tasks) {
    current.push(task);
    bytes += taskBytes(task);
    if (bytes < BATCH_BYTES && current.length < BATCH_TASKS) continue;
    batches.push({ tasks: current });
    current = [];
    bytes = 0;
  }
  if (current.length > 0) batches.push({ tasks: current });
  return batches;
}

/** Batches that one worker does one after the other, as one. */
export const chained = (batches: readonly Batch[]): Batch | undefined =>
  batches.reduceRight<Batch | undefined>((next, batch) => (next ? { ...batch, next } : batch), undefined);
