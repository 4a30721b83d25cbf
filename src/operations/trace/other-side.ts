import type { Model } from '../../core/model.js';
import { MlserError } from '../../errors.js';
import type { MadeValue } from '../../graph/made-values.js';
import { type FeedSource, withFloatsOf } from '../../runtime/feed-source.js';
import { valueType } from '../../runtime/values.js';
import type { Other } from './compare-values.js';
import { inputsInOrder, matchValues } from './match.js';
import { matchPrints, printsOf } from './match-figures.js';
import type { Taps } from './taps.js';

/** The side of the model that is looked at. */
export interface Sides {
  readonly taps: Taps;
  readonly feeds: FeedSource;
  readonly sizes: ReadonlyMap<string, number>;
  readonly traced: readonly MadeValue[];
  readonly limit: number;
}

/** The reference with the same feeds, and which of its values stand for those of the model. */
export async function otherSide(
  { taps, feeds, sizes, traced, limit }: Sides,
  base: Taps,
  tolerance: number,
  map: ReadonlyMap<string, string>,
): Promise<Other> {
  const theirs = renamedFeeds(feeds, taps.model, base.model, map);
  const { matches, left } = matchValues(taps.model, base.model, map);
  const all = [...[...matches.values()].map(({ name }) => name), ...left.map(({ name }) => name)];
  const types = await base.fetchable(all);
  for (const [name, { name: other }] of matches) if (!types.has(other)) matches.delete(name);
  const open = traced.filter(({ name }) => !matches.has(name)).map(({ name }) => name);
  const free = left.filter(({ name }) => types.has(name)).map(({ name }) => name);
  if (open.length > 0 && free.length > 0) {
    const own = await printsOf(taps, feeds, open, sizes, limit);
    const others =
      own.size > 0
        ? await printsOf(
            base,
            theirs,
            free,
            await base.sizes(await theirs.load(theirs.slices?.[0]), free),
            limit,
          )
        : new Map<string, never>();
    for (const [name, other] of matchPrints(own, others, tolerance))
      matches.set(name, { name: other, by: 'figures' });
  }
  return { taps: base, feeds: theirs, matches };
}

/** The same feeds under the names, and in the float types, that the reference has. */
function renamedFeeds(
  feeds: FeedSource,
  model: Model,
  reference: Model,
  map: ReadonlyMap<string, string>,
): FeedSource {
  const names = inputsInOrder(model, reference, map);
  const given = new Set(names.values());
  const edge = reference.graph?.inputs ?? [];
  const missing = edge.flatMap(({ name }) => (given.has(name) ? [] : [name]));
  if (missing.length > 0)
    throw new MlserError(
      'E_USAGE',
      `the reference takes ${missing.map((name) => JSON.stringify(name)).join(', ')}, which the model does not`,
      { details: { missing }, hint: 'say which input of the model it is: --map input=name' },
    );
  const inputs = edge.map(({ name, dtype, shape }) => ({
    ...{ name, shape },
    type: valueType(dtype),
  }));
  const renamed: FeedSource = {
    slices: feeds.slices,
    load: async (slice) =>
      new Map(
        [...(await feeds.load(slice))].flatMap(([name, value]) => {
          const other = names.get(name);
          return other === undefined ? [] : [[other, value] as const];
        }),
      ),
  };
  return withFloatsOf(renamed, inputs);
}
