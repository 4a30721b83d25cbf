import type { Random } from '../../runtime/random.js';
import { alive, guarded, type Ready, readyOf, type Subject } from './subject.js';

const BUDGET_MS = 2000;
const FEWEST = 20;
const MOST = 1000;
/** Warming up ends after this, however many runs were asked for. */
const WARM_UP_MS = 2000;
/** Turns over all processes, if there are as many runs. */
const TURNS = 20;

/** Turns in each process: all models have as many. */
export const turnsEach = (processes: number, runs: number | undefined): number =>
  Math.max(1, Math.min(Math.ceil(TURNS / processes), Math.floor((runs ?? FEWEST) / processes)));

/**
 * Warms a model up. The first time, `runs` is how often it is to be run after that: as asked for, or as often as the
 * budget holds.
 */
export async function warmUp(
  { session }: Ready,
  { runs, warmup }: { readonly runs?: number; readonly warmup: number },
): Promise<number> {
  const [first = 0] = await session.measure(0, 1);
  const more = Math.min(warmup - 1, Math.floor(WARM_UP_MS / Math.max(first, 1e-3)));
  const times = more > 0 ? await session.measure(0, more) : Float64Array.of(first);
  const typical = times.sort()[times.length >> 1] ?? first;
  return runs ?? Math.min(MOST, Math.max(FEWEST, Math.round(BUDGET_MS / Math.max(typical, 1e-3))));
}

/**
 * Times models by turns: in each turn every model, in an order that is drawn anew, runs a part of its runs, after one
 * that does not count (others have had the caches since). A machine that is busy for a while so slows all of them.
 */
export async function takeTurns(
  subjects: readonly Subject[],
  batch: number,
  which: { readonly from: number; readonly to: number; readonly of: number },
  random: Random,
): Promise<void> {
  for (let turn = which.from; turn < which.to; turn++)
    for (const subject of shuffled(alive(subjects), random)) {
      const timings = subject.timings.get(batch);
      if (!timings) continue;
      const upTo = (end: number): number => Math.floor((timings.runs * end) / which.of);
      const share = upTo(turn + 1) - upTo(turn);
      const times = await guarded(subject, () => readyOf(subject).session.measure(1, share));
      if (times) timings.turns.push(times);
    }
}

/** Fisher and Yates. */
export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const list = [...items];
  for (let i = list.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const [a, b] = [list[i], list[j]];
    if (a !== undefined && b !== undefined) [list[i], list[j]] = [b, a];
  }
  return list;
}
