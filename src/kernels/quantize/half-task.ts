import type { HalfTask, TaskResult } from '../tasks.js';
import type { Workplace } from '../workplace.js';

/** Bytes read at a time: they should stay in the cache. */
const STEP_BYTES = 1 << 20;

/** Bits that f32 has more, the smallest normal number where smaller ones are coarser, and what rounds to infinity. */
export const HALVES = {
  f16: { drop: 13, tiny: 2 ** -14, limit: 65520 },
  bf16: { drop: 16, tiny: 0, limit: (2 - 2 ** -8) * 2 ** 127 },
} as const;

export function* halfErrors(
  { program, half, start, end }: HalfTask,
  place: Workplace,
): Generator<number, TaskResult> {
  const { arena } = place;
  const area = arena.codecArea(0);
  const { kernels, results } = arena;
  const { drop, tiny, limit } = HALVES[half];
  const sums = results.values.subarray(0, 6).fill(0);
  for (let at = start; at < end; at += STEP_BYTES / 4) {
    const count = Math.min(STEP_BYTES / 4, end - at);
    const bytes = area.bytes.subarray(0, count * 4);
    place.read(program.path, bytes, program.offset + at * 4);
    kernels.halfErrors(area.at, count, drop, tiny, limit, results.at);
    yield count * 4;
  }
  return { errors: sums.slice() };
}
