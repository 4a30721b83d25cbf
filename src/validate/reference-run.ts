import type { Finding } from '../errors.js';
import type { ArrayFile } from '../runtime/arrays.js';
import type { FeedSource, Slice } from '../runtime/feed-source.js';
import type { OutputComparison } from '../runtime/metrics.js';
import type { Values } from '../runtime/values.js';
import { OutputGatherer } from './compare-outputs.js';
import { execute, isFinding, type Preparing, prepare, type Ready } from './prepare.js';
import type { Runnable } from './runnable.js';

/** A reference on feeds that it takes. */
export interface Before {
  readonly feeds: FeedSource;
  outputs(slice: Slice | undefined): Promise<Values>;
  /** What it gives in a second run, next to the first. Nothing where feeds come in slices. */
  again(): Promise<readonly OutputComparison[]>;
  release(): Promise<void>;
}

/** The reference runs beside the model that is compared with it. A finding if the runtime refuses it. */
export async function runBefore(
  request: Preparing,
  model: Runnable,
  file: ArrayFile | undefined,
): Promise<Before | Finding> {
  const ready = await prepare(request, model, 'cpu', file);
  if (isFinding(ready)) return ready;
  const { session, feeds, first } = ready;
  const { slices } = feeds;
  // One run each: the reference is gone before the other model takes its memory.
  if (!slices) await session.release();
  return {
    feeds,
    outputs: async (slice) => (slice === slices?.[0] ? first : execute(ready, slice)),
    again: () => secondRun(request, model, file, ready),
    release: async () => {
      if (slices) await session.release();
    },
  };
}

export async function secondRun(
  request: Preparing,
  model: Runnable,
  file: ArrayFile | undefined,
  { feeds, first }: Pick<Ready, 'feeds' | 'first'>,
): Promise<readonly OutputComparison[]> {
  if (feeds.slices) return [];
  const again = await prepare(request, model, 'cpu', file, feeds);
  if (isFinding(again)) return [];
  await again.session.release();
  const outputs = new OutputGatherer();
  outputs.addReference(again.first, first);
  return outputs.results();
}
