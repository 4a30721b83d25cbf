import { MlserError } from '../../errors.js';
import type { FeedSource } from '../../runtime/feed-source.js';
import type { Values } from '../../runtime/values.js';
import type { Taps } from '../trace/taps.js';
import type { Candidate, Candidates } from './candidates.js';
import { type Check, type Part, partOf } from './checks.js';
import type { Failure } from './outcome.js';
import type { PartModels } from './part-models.js';
import { wantsFeeds } from './run-command.js';
import type { Work } from './setup.js';
import { ValueStore } from './value-store.js';

/** What the whole graph is checked with. */
export interface Setting {
  readonly candidates: Candidates;
  readonly models: PartModels;
  readonly check: Check;
  /** Where the values at cuts are taken from. */
  readonly base: Taps;
  /** What they are called there. */
  readonly names: ReadonlyMap<string, string> | undefined;
  readonly work: Work;
}

export interface First {
  readonly failure: Failure;
  readonly partOf: (candidate: Candidate) => Promise<Part | undefined>;
}

/** The first samples on which the whole graph fails, and how. */
export async function firstFailure(
  { candidates, models, check, base, names, work }: Setting,
  feeds: FeedSource | undefined,
): Promise<First> {
  const whole = candidates.of(candidates.items);
  for (const slice of feeds?.slices ?? [undefined]) {
    const given = feeds ? await feeds.load(slice) : undefined;
    const renamed = given && new Map([...given].map(([name, value]) => [names?.get(name) ?? name, value]));
    const store = renamed && new ValueStore(base, renamed);
    const part = (candidate: Candidate): Promise<Part | undefined> =>
      partOf(candidate, models, (wanted) => valuesOf(store, wanted, names));
    const made = await part(whole);
    const failure = made && (await check(made));
    if (failure) return { failure, partOf: part };
    if (work.options.check !== undefined && !wantsFeeds(work.options.check)) break;
  }
  throw passes(work);
}

/** Values of the base under the names of the model. */
async function valuesOf(
  store: ValueStore | undefined,
  wanted: readonly string[],
  names: ReadonlyMap<string, string> | undefined,
): Promise<Values | undefined> {
  if (wanted.length === 0) return new Map();
  const found = await store?.get(wanted.map((name) => names?.get(name) ?? name));
  return (
    found &&
    new Map(
      wanted.flatMap((name) => {
        const value = found.get(names?.get(name) ?? name);
        return value ? [[name, value] as const] : [];
      }),
    )
  );
}

const passes = ({ own, reference, options }: Work): MlserError =>
  new MlserError(
    'E_USAGE',
    options.check === undefined
      ? `${own.input} does not fail: ${reference ? `its outputs are those of ${reference.input}` : 'it runs, and its outputs are finite'}`
      : `${own.input} does not fail the check, so there is nothing to reduce`,
    {
      details: { input: own.input },
      hint:
        options.check === undefined
          ? 'say what is wrong with --reference, --tolerance, --inputs or --check'
          : 'the command has to end with another exit code than 0 as long as the failure is there',
    },
  );
