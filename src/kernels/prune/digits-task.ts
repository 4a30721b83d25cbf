import { BlockReader } from '../block-reader.js';
import { BLOCK_ELEMENTS, type DigitsTask, type TaskResult } from '../tasks.js';
import type { Arena, Slot } from '../wasm.js';
import type { Workplace } from '../workplace.js';

/** Different digits. */
export const DIGITS = 65536;

/** How often the digits from `first` on occur; no others do. */
export interface DigitCounts {
  readonly first: number;
  readonly counts: Uint32Array;
}

/** Blocks that are counted before others may use the arena: its counts are fetched and put back each time. */
const BLOCKS = 8;

const KERNELS = { 4: 'magnitudeDigits32', 8: 'magnitudeDigits64' } as const;

/** Adds the digits of blocks to `counts`; each is looked at before the next one is pulled. */
export function addDigits(
  here: Arena,
  blocks: Iterable<{ readonly block: Slot; readonly count: number }>,
  { width, shift, prefix }: Pick<DigitsTask, 'width' | 'shift' | 'prefix'>,
  counts: Uint32Array,
): void {
  here.digits.values.set(counts);
  for (const { block, count } of blocks)
    here.kernels[KERNELS[width]](block.at, count, shift, prefix, here.digits.at);
  counts.set(here.digits.values);
}

/** Without the digits at both ends that do not occur. */
export function trimmed(counts: Uint32Array): DigitCounts {
  const first = counts.findIndex((count) => count > 0);
  if (first < 0) return { first: 0, counts: new Uint32Array(0) };
  return { first, counts: counts.slice(first, counts.findLastIndex((count) => count > 0) + 1) };
}

export function* digits(task: DigitsTask, place: Workplace): Generator<number, TaskResult> {
  const reader = new BlockReader(task.program, place, [0, 1]);
  const counts = new Uint32Array(DIGITS);
  function* blocks(from: number, to: number): Generator<{ readonly block: Slot; readonly count: number }> {
    for (let start = from; start < to; start += BLOCK_ELEMENTS) {
      const end = Math.min(to, start + BLOCK_ELEMENTS);
      yield { block: reader.read(start, end), count: end - start };
    }
  }
  for (let start = task.start; start < task.end; start += BLOCKS * BLOCK_ELEMENTS) {
    const end = Math.min(task.end, start + BLOCKS * BLOCK_ELEMENTS);
    addDigits(place.arena, blocks(start, end), task, counts);
    yield (end - start) * task.width;
  }
  return { digits: trimmed(counts) };
}
