import { isMlserError } from '../../errors.js';
import type { Random } from '../../runtime/random.js';
import type { Settled } from './options.js';
import { alive, guarded, readyOf, type Subject } from './subject.js';
import { takeTurns, turnsEach, warmUp } from './turns.js';

/**
 * The batches that are to be run: those asked for, then those of graphs that take one only and were not asked for it
 * (they would not be measured at all otherwise). What a graph does not take is noted as skipped.
 */
export function batchesFor(subjects: readonly Subject[], asked: readonly number[]): readonly number[] {
  const own = new Set<number>();
  for (const subject of alive(subjects)) {
    const { fixed } = readyOf(subject).feeds;
    if (!fixed) continue;
    own.add(fixed.batch);
    for (const batch of asked)
      if (batch !== fixed.batch) subject.skipped.push({ batch, reason: fixed.reason });
  }
  return [...new Set([...asked, ...own])];
}

/** All models that take this batch, by turns, in the processes that are there. */
export async function measureBatch(
  subjects: readonly Subject[],
  batch: number,
  process: { readonly index: number; readonly of: number },
  wanted: Settled,
  random: Random,
): Promise<void> {
  const taking: Subject[] = [];
  for (const subject of alive(subjects))
    if (await guarded(subject, () => takes(subject, batch, process.index === 0, wanted)))
      taking.push(subject);
  const each = turnsEach(process.of, wanted.runs);
  const from = process.index * each;
  await takeTurns(taking, batch, { from, to: from + each, of: each * process.of }, random);
}

/** Puts feeds into the process of a model and warms it up; false if its graph does not take them. */
async function takes(subject: Subject, batch: number, first: boolean, wanted: Settled): Promise<boolean> {
  const ready = readyOf(subject);
  const { feeds, session } = ready;
  const own = feeds.fixed ? feeds.fixed.batch === batch : wanted.batches.includes(batch);
  if (!own || (!first && !subject.timings.has(batch))) return false;
  const values = await feeds.forBatch(batch);
  try {
    await session.hold(values);
    const runs = await warmUp(ready, wanted);
    const shapes = Object.fromEntries([...values].map(([name, { dims }]) => [name, dims]));
    if (first) subject.timings.set(batch, { shapes, runs, turns: [] });
    return true;
  } catch (error) {
    if (!isMlserError(error) || error.code !== 'E_RUNTIME') throw error;
    if (!first || error.details['crashed'] || error.details['timedOut']) throw error;
    // Another batch may be taken: this one is skipped.
    subject.skipped.push({ batch, reason: String(error.details['runtime'] ?? error.message) });
    subject.refused = error;
    return false;
  }
}
