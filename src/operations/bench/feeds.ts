import { MlserError } from '../../errors.js';
import { vocabularyOf } from '../../graph/vocabulary.js';
import type { ArrayFile } from '../../runtime/arrays.js';
import { type FeedSource, feedsFromFile } from '../../runtime/feed-source.js';
import { generateFeeds } from '../../runtime/feeds.js';
import type { Session } from '../../runtime/process.js';
import type { ValueInfo, Values } from '../../runtime/values.js';
import { findFeeds } from '../../validate/find-feeds.js';
import { cutsWrongly } from '../../validate/prepare.js';
import { inputsOf, type Runnable } from '../../validate/runnable.js';

/** Feeds of a graph for any batch, or the one batch that it takes. */
export interface BenchFeeds {
  /** Samples in every run, and why no other number. undefined: any number. */
  readonly fixed?: { readonly batch: number; readonly reason: string };
  forBatch(batch: number): Promise<Values>;
  /** The whole file, for accuracy. */
  readonly file?: FeedSource;
}

export async function benchFeeds(
  session: Session,
  target: Runnable,
  file: ArrayFile | undefined,
): Promise<BenchFeeds> {
  const inputs = inputsOf(session, target.graph);
  return file ? fromFile(session, inputs, file) : madeUp(session, inputs, target);
}

/** The same size on the first axis of every input that has one; undefined where one is open, or they differ. */
function declaredBatch(inputs: readonly ValueInfo[]): number | undefined {
  const firsts = new Set(inputs.flatMap(({ shape }) => (shape?.length === 0 ? [] : [shape?.[0] ?? null])));
  const [first] = firsts;
  return firsts.size === 1 && typeof first === 'number' && first > 0 ? first : undefined;
}

const fixedAt = (batch: number): { batch: number; reason: string } => ({
  batch,
  reason: `the graph fixes its batch at ${batch}`,
});

async function fromFile(
  session: Session,
  inputs: readonly ValueInfo[],
  file: ArrayFile,
): Promise<BenchFeeds> {
  const source = feedsFromFile(file, inputs);
  const { samples } = source;
  const declared = declaredBatch(inputs);
  const rows = (batch: number): Promise<Values> => {
    // More than there are: the last sample is taken again.
    const count = Math.min(batch, samples ?? 1);
    return source.load(samples === undefined ? undefined : { start: 0, count, size: batch });
  };
  if (declared !== undefined) return { fixed: fixedAt(declared), forBatch: rows, file: source };
  const pair = samples === undefined ? undefined : { start: 0, count: 2, size: 2 };
  if (pair && samples !== undefined && samples > 1) {
    const { outputs } = await session.run(await source.load(pair));
    if (!cutsWrongly(outputs, pair)) return { forBatch: rows, file: source };
  }
  const whole = { ...source, slices: undefined };
  if (samples === 1) return { forBatch: rows, file: whole };
  return {
    fixed: { batch: 1, reason: 'the first axis of its feeds is not the samples: they are run as they are' },
    forBatch: () => source.load(undefined),
    file: whole,
  };
}

async function madeUp(session: Session, inputs: readonly ValueInfo[], target: Runnable): Promise<BenchFeeds> {
  const found = await findFeeds(session, inputs, vocabularyOf(target.model));
  if ('code' in found)
    throw new MlserError('E_UNSUPPORTED', `${found.subject}: ${found.message}`, {
      details: { input: target.files.label },
      hint: 'give feeds with --inputs feeds.npz',
    });
  const sized = (batch: number): Values =>
    generateFeeds(inputs, { ...found.made, sizes: { ...found.made.sizes, batch } });
  const shapes = (values: Values): string => JSON.stringify([...values.values()].map(({ dims }) => dims));
  const forBatch = async (batch: number): Promise<Values> => sized(batch);
  return shapes(sized(1)) === shapes(sized(2))
    ? { fixed: fixedAt(declaredBatch(inputs) ?? 1), forBatch }
    : { forBatch };
}
