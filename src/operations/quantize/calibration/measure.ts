import type { Model } from '../../../core/model.js';
import { MlserError } from '../../../errors.js';
import { vocabularyOf } from '../../../graph/vocabulary.js';
import type { ArrayFile } from '../../../runtime/arrays.js';
import { type FeedSource, feedsFromFile, fixedFeeds, SAMPLES_PER_RUN } from '../../../runtime/feed-source.js';
import type { Session } from '../../../runtime/process.js';
import { toNumbers, type ValueInfo, type Values } from '../../../runtime/values.js';
import { findFeeds } from '../../../validate/find-feeds.js';
import { cutsWrongly } from '../../../validate/prepare.js';
import { inputsOf } from '../../../validate/runnable.js';
import { shapeName } from '../../observed-model.js';

export interface Measured {
  readonly feeds: FeedSource;
  /** Bytes of a value in one run, where they are known. */
  readonly sizes: ReadonlyMap<string, number>;
}

export interface Measuring {
  readonly model: Model;
  readonly names: readonly string[];
  /** What the model is called in messages. */
  readonly label: string;
  /** Bytes of a value in one run that are too many. */
  readonly limit: number;
}

/** Finds feeds and how large the values are, with a session of a graph that gives away nothing but their shapes. */
export async function measure(
  session: Session,
  file: ArrayFile | undefined,
  request: Measuring,
): Promise<Measured> {
  const { model, names, label } = request;
  if (!model.graph) throw new Error('only graphs are calibrated');
  const inputs = inputsOf(session, model.graph);
  if (file) return fromFile(session, file, inputs, request);
  const found = await findFeeds(session, inputs, vocabularyOf(model));
  if ('code' in found)
    throw new MlserError('E_RUNTIME', found.message, {
      details: { input: label },
      hint: 'give samples of the inputs with --calibration data.npz',
    });
  return { feeds: fixedFeeds(found.feeds), sizes: sizesOf(names, found.outputs) };
}

async function fromFile(
  session: Session,
  file: ArrayFile,
  inputs: readonly ValueInfo[],
  { model, names, limit }: Measuring,
): Promise<Measured> {
  let feeds = feedsFromFile(file, inputs);
  let { outputs } = await session.run(await feeds.load(feeds.slices?.[0]));
  const own = new Map(
    [...outputs].filter(([name]) => model.graph?.outputs.some((output) => output.name === name)),
  );
  if (cutsWrongly(own, feeds.slices?.[0])) {
    feeds = { ...feeds, slices: undefined };
    ({ outputs } = await session.run(await feeds.load(undefined)));
  }
  const sizes = sizesOf(names, outputs);
  const largest = Math.max(0, ...sizes.values());
  const perRun = feeds.slices?.[0]?.size ?? SAMPLES_PER_RUN;
  if (largest <= limit || !feeds.slices) return { feeds, sizes };
  // Values of one run are too large together with the copies that are made on their way: fewer samples at a time.
  const fewer = Math.max(1, Math.floor((perRun * limit) / largest));
  const smaller = feedsFromFile(file, inputs, fewer);
  const share = (smaller.slices?.[0]?.size ?? perRun) / perRun;
  return { feeds: smaller, sizes: new Map([...sizes].map(([name, bytes]) => [name, bytes * share])) };
}

/** From the shapes that came out. */
export function sizesOf(names: readonly string[], outputs: Values): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  for (const name of names) {
    const shape = outputs.get(shapeName(name));
    if (shape)
      sizes.set(
        name,
        Array.from(toNumbers(shape)).reduce((product, size) => product * size, 4),
      );
  }
  return sizes;
}
