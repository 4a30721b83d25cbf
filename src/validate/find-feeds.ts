import { type Finding, finding, isMlserError } from '../errors.js';
import { ATTEMPTS } from '../runtime/dims.js';
import { type FeedOptions, generateFeeds } from '../runtime/feeds.js';
import type { Session } from '../runtime/process.js';
import type { ValueInfo, Values } from '../runtime/values.js';

export interface FoundFeeds {
  readonly feeds: Values;
  readonly outputs: Values;
  /** How they were made, so that others like them can be. */
  readonly made: FeedOptions;
}

/** Token ids to try where the table they index is not known; every table has a first row. */
const TOKEN_RANGES = [16, 2, 1];

/**
 * Makes up feeds that the graph takes: sizes of open dimensions and ranges of ids are tried until one is not
 * rejected. A finding if all are. A crash of the runtime is passed on.
 */
export async function findFeeds(
  session: Session,
  inputs: readonly ValueInfo[],
  vocabulary: ReadonlyMap<string, number>,
): Promise<FoundFeeds | Finding> {
  let first = '';
  for (const sizes of ATTEMPTS)
    for (const tokens of TOKEN_RANGES) {
      try {
        const made = { sizes, tokens, vocabulary };
        const feeds = generateFeeds(inputs, made);
        const { outputs } = await session.run(feeds);
        return { feeds, outputs, made };
      } catch (error) {
        if (!isMlserError(error)) throw error;
        if (error.code === 'E_RUNTIME' && (error.details['crashed'] || error.details['timedOut']))
          throw error;
        if (error.code !== 'E_RUNTIME' && error.code !== 'E_UNSUPPORTED' && error.code !== 'E_LIMIT')
          throw error;
        if (first === '') first = error.message;
        // Inputs that nothing can be made up for stay so.
        if (error.code === 'E_UNSUPPORTED') return rejected(session, first);
        if (!/index|bounds|out of range|gather/i.test(error.message)) break;
      }
    }
  return rejected(session, first);
}

const rejected = (session: Session, message: string): Finding =>
  finding(
    'warning',
    'FEEDS_REJECTED',
    session.label,
    `no made-up feeds were accepted, so the graph was not run (give some with --inputs): ${message}`,
  );
