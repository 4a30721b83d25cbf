import { spanBytes } from './pipeline.js';
import { WINDOW_BYTES, type WindowRange } from './source-window.js';
import { codedOf, type Task } from './tasks.js';

/** Tasks that one worker does one after the other. */
export interface Batch {
  readonly tasks: readonly Task[];
  /** A range that several of them read: it is read once. */
  readonly window?: WindowRange;
  /** They go through it side by side, a block each in turn, so that it need not be held as a whole. */
  readonly abreast?: boolean;
}

/** Tasks that share nothing are sent together up to this. */
const BATCH_BYTES = 16 << 20;
const BATCH_TASKS = 256;

interface Placed extends WindowRange {
  readonly task: Task;
  /** In the order that they came. */
  readonly index: number;
}

/**
 * Batches of tasks of several outputs, with the places of their results in the order of `tasks`. Tasks that read the same
 * range of a file come into one batch, whatever they make of it, so that their worker reads it once. Comparisons take ranges
 * that are larger than the window: those of the same range go abreast. What else does not fit (a weight that is read column by
 * column and is larger) reads for itself.
 */
export function mergedBatches(tasks: readonly Task[]): { batches: Batch[]; order: number[] } {
  const placed = tasks.map(placeOf).sort(byPlace);
  const batches: Batch[] = [];
  const order: number[] = [];
  let group: Placed[] = [];
  const close = (): void => {
    if (group.length === 0) return;
    batches.push(...batchesOf(group));
    order.push(...group.map(({ index }) => index));
    group = [];
  };
  const apart: Placed[] = [];
  for (const one of placed) {
    if (reachesFar(one)) {
      apart.push(one);
      continue;
    }
    const [first] = group;
    if (first && (first.path !== one.path || one.to - first.from > WINDOW_BYTES)) close();
    group.push(one);
  }
  close();
  for (const one of apart) {
    const [first] = group;
    if (first && !isAbreast(first, one)) close();
    group.push(one);
  }
  close();
  return { batches, order };
}

const reachesFar = ({ task, from, to }: Placed): boolean =>
  task.program.coded !== undefined || to - from > WINDOW_BYTES;

/** Reads more than is held of a file, and so for itself. */
export const isApart = (task: Task | undefined): boolean =>
  task !== undefined && reachesFar(placeOf(task, 0));

/** Comparisons keep nothing in the arena from one block to the next, and all have blocks of the same size. */
const isAbreast = (a: Placed, b: Placed): boolean =>
  a.task.kind === 'compare' &&
  b.task.kind === 'compare' &&
  [a.task, b.task].flatMap(codedOf).length === 0 &&
  a.path === b.path &&
  a.from === b.from &&
  a.to === b.to;

/** The range of its file that a task reads. */
function placeOf(task: Task, index: number): Placed {
  const { program } = task;
  const whole = task.kind === 'blocks';
  const [start, end] = whole ? [0, task.rows * task.columns] : [task.start, task.end];
  const from = program.offset + Math.floor((start * program.inBits) / 8);
  return { task, index, path: program.path, from, to: from + spanBytes(program.inBits, start, end) };
}

const byPlace = (a: Placed, b: Placed): number =>
  a.path < b.path ? -1 : a.path > b.path ? 1 : a.from - b.from || a.to - b.to || a.index - b.index;

/** One batch with a window where bytes are read more than once, else as many as there is work for. */
function batchesOf(group: readonly Placed[]): Batch[] {
  const [first] = group;
  if (!first) return [];
  const to = Math.max(...group.map((one) => one.to));
  const read = group.reduce((sum, one) => sum + one.to - one.from, 0);
  if (read > to - first.from) {
    const window = { path: first.path, from: first.from, to };
    const tasks = group.map(({ task }) => task);
    return [to - first.from > WINDOW_BYTES ? { tasks, window, abreast: true } : { tasks, window }];
  }
  return plainBatches(group.map(({ task }) => task));
}

/** Canonical bytes that a task is about, in the file. */
export const taskBytes = (task: Task): number => ((task.end - task.start) * task.program.inBits) / 8;

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
