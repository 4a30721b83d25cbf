import type { HalfTask, TaskResult } from '../tasks.js';
import type { Workplace } from '../workplace.js';
import { f32Reader, STEP_ELEMENTS } from './f32-source.js';

/** Bits that f32 has more, the smallest normal number where smaller ones are coarser, and what rounds to infinity. */
export const HALVES = {
  f16: { drop: 13, tiny: 2 ** -14, limit: 65520 },
  bf16: { drop: 16, tiny: 0, limit: (2 - 2 ** -8) * 2 ** 127 },
} as const;

export function* halfErrors(
  { program, half, start, end }: HalfTask,
  place: Workplace,
): Generator<number, TaskResult> {
  const { kernels, results } = place.arena;
  const { read } = f32Reader(program, place);
  const { drop, tiny, limit } = HALVES[half];
  const sums = results.values.subarray(0, 6).fill(0);
  for (let at = start; at < end; at += STEP_ELEMENTS) {
    const count = Math.min(STEP_ELEMENTS, end - at);
    const area = read(at, at + count);
    kernels.halfErrors(area.at, count, drop, tiny, limit, results.at);
    yield count * 4;
  }
  return { errors: sums.slice() };
}
