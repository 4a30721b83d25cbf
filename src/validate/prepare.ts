import type { WorkContext } from '../core/format.js';
import { type Finding, finding, isMlserError } from '../errors.js';
import { vocabularyOf } from '../graph/vocabulary.js';
import type { ArrayFile } from '../runtime/arrays.js';
import type { ActualDevice } from '../runtime/devices.js';
import {
  type FeedSource,
  feedsFromFile,
  fixedFeeds,
  type Slice,
  trim,
  withFloatsOf,
} from '../runtime/feed-source.js';
import type { Runtime, Session } from '../runtime/process.js';
import type { Values } from '../runtime/values.js';
import { findFeeds } from './find-feeds.js';
import { openSession } from './open-session.js';
import { inputsOf, type Runnable } from './runnable.js';

/** What a model is loaded with. */
export interface Preparing {
  readonly runtime: Runtime;
  /** Its inputs may have other float types than the feeds that are given. */
  readonly anyFloat?: boolean;
  readonly context: WorkContext;
}

/** A session, feeds that it takes, and what it made of the first of them. */
export interface Ready {
  readonly session: Session;
  readonly feeds: FeedSource;
  readonly first: Values;
}

export const isFinding = (value: object | undefined): value is Finding =>
  value !== undefined && 'code' in value;

/** Loads a model and runs it once. A finding if the runtime refuses it. */
export async function prepare(
  { runtime, context, anyFloat }: Preparing,
  model: Runnable,
  device: ActualDevice,
  file: ArrayFile | undefined,
  given?: FeedSource,
): Promise<Ready | Finding> {
  let session: Session | undefined;
  try {
    session = await openSession(model, runtime, device, context.threads);
    const inputs = inputsOf(session, model.graph);
    const same = given && anyFloat ? withFloatsOf(given, inputs) : given;
    let feeds = same ?? (file && feedsFromFile(file, inputs));
    if (!feeds) {
      const found = await findFeeds(session, inputs, vocabularyOf(model.model));
      if ('code' in found) {
        await session.release();
        return found;
      }
      return { session, feeds: fixedFeeds(found.feeds), first: found.outputs };
    }
    let first = await execute({ session, feeds }, feeds.slices?.[0]);
    if (!given && cutsWrongly(first, feeds.slices?.[0])) {
      feeds = { ...feeds, slices: undefined };
      first = await execute({ session, feeds }, undefined);
    }
    return { session, feeds, first };
  } catch (error) {
    await session?.release();
    return refusal(model.files.label, error);
  }
}

/** What the runtime refused, or that it crashed; other errors are passed on. */
export function refusal(subject: string, error: unknown): Finding {
  if (!isMlserError(error) || error.code !== 'E_RUNTIME') throw error;
  return finding('error', 'RUN_FAILED', subject, error.message);
}

/** Outputs that do not have the samples on their first axis tell that the inputs do not have them there either. */
export const cutsWrongly = (outputs: Values, slice: Slice | undefined): boolean =>
  slice !== undefined &&
  slice.count === slice.size &&
  [...outputs.values()].some(({ dims }) => dims[0] === undefined || dims[0] % slice.count !== 0);

export async function execute(
  { session, feeds }: Omit<Ready, 'first'>,
  slice: Slice | undefined,
): Promise<Values> {
  const { outputs } = await session.run(await feeds.load(slice));
  return new Map([...outputs].map(([name, value]) => [name, trim(value, slice)]));
}
