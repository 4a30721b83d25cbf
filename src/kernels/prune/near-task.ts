import { BlockReader } from '../block-reader.js';
import { BLOCK_ELEMENTS, type NearTask, type SampleTask, type TaskResult } from '../tasks.js';
import { viewAs } from '../views.js';
import type { Workplace } from '../workplace.js';
import { DIGITS } from './digits-task.js';

/** Elements around a magnitude. */
export interface NearCounts {
  /** How many are smaller than the first magnitude. */
  readonly below: number;
  /** Distances from the first magnitude that occur, ascending, and how often. */
  readonly distances: Uint16Array;
  readonly counts: Uint32Array;
}

/** Blocks that are counted before others may use the arena: its counts are fetched and put back each time. */
const BLOCKS = 8;

function occurring(all: Uint32Array): Omit<NearCounts, 'below'> {
  const distances = new Uint16Array(all.length);
  const counts = new Uint32Array(all.length);
  let found = 0;
  for (let distance = 0; distance < all.length; distance++) {
    const count = all[distance] ?? 0;
    if (count === 0) continue;
    distances[found] = distance;
    counts[found++] = count;
  }
  return { distances: distances.slice(0, found), counts: counts.slice(0, found) };
}

export function* near(task: NearTask, place: Workplace): Generator<number, TaskResult> {
  const { arena } = place;
  const reader = new BlockReader(task.program, place, [0, 1]);
  const counts = new Uint32Array(DIGITS);
  let below = 0;
  for (let first = task.start; first < task.end; first += BLOCKS * BLOCK_ELEMENTS) {
    const last = Math.min(task.end, first + BLOCKS * BLOCK_ELEMENTS);
    arena.digits.values.set(counts);
    for (let start = first; start < last; start += BLOCK_ELEMENTS) {
      const end = Math.min(last, start + BLOCK_ELEMENTS);
      const { at } = reader.read(start, end);
      arena.kernels.nearMagnitudes32(at, end - start, task.from, arena.digits.at, arena.results.at);
      below += new Uint32Array(arena.results.values.buffer, arena.results.at, 1)[0] ?? 0;
    }
    counts.set(arena.digits.values);
    yield (last - first) * 4;
  }
  return { near: { below, ...occurring(counts) } };
}

export function* sample(task: SampleTask, place: Workplace): Generator<number, TaskResult> {
  const reader = new BlockReader(task.program, place, [0, 1]);
  const all = new Uint32Array(Math.ceil((task.end - task.start) / BLOCK_ELEMENTS) * task.taken);
  let found = 0;
  for (let start = task.start; start < task.end; start += BLOCK_ELEMENTS) {
    const count = Math.min(task.end - start, task.taken);
    const bits = viewAs(Uint32Array, reader.read(start, start + count).bytes, count);
    for (let i = 0; i < count; i++) all[found++] = (bits[i] ?? 0) & 0x7fffffff;
    yield 0;
  }
  return { sample: all.subarray(0, found) };
}
