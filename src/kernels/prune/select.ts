import type { WorkContext } from '../../core/format.js';
import type { ZeroRule } from '../../core/recipe.js';
import type { TensorSource } from '../../core/tensor.js';
import { type Pool, withPool } from '../pool.js';
import { type Counted, guessed } from './guess.js';
import { isPrunedType, ruleFor } from './keys.js';
import { magnitudesOf, piecesOf } from './pieces.js';
import { findDigit, type Ranking, type Search, searchOf } from './search.js';

export type { Ranking };

/** What becomes of one tensor of a ranking. */
export interface Selected {
  readonly rule: ZeroRule;
  /** Elements that are zero afterwards. */
  readonly zeros: number;
}

/**
 * The smallest elements by absolute value, exactly as many as were asked for: those below a magnitude, and of those that
 * have exactly this one the first, in the order of tensors and positions. Infinity and NaN come last. Large rankings are
 * read once, around what a sample says; others, and where the sample was wrong, by a radix search: once for each 16 bits
 * of the floats, and once more where ties are told apart. Nothing is sorted or held. E_INTERRUPTED on abort.
 */
export const selectSmallest = (
  rankings: readonly Ranking[],
  context: WorkContext,
): Promise<(readonly Selected[])[]> =>
  withPool(context, async (pool) => {
    const searches = rankings.map(searchOf);
    const known = await guessed(searches, pool, context);
    for (const width of [4, 8] as const)
      for (let shift = width * 8 - 16; shift >= 0; shift -= 16)
        await findDigit(
          searches.filter((search) => search.width === width && search.left > 0 && !known.has(search)),
          shift,
          pool,
          context,
        );
    return settle(searches, known, pool, context);
  });

/** Magnitudes are known: which of their ties are chosen, and how many zeros every tensor gets. */
async function settle(
  searches: readonly Search[],
  known: ReadonlyMap<Search, readonly (readonly Counted[])[]>,
  pool: Pool,
  context: WorkContext,
): Promise<(readonly Selected[])[]> {
  const open = searches.filter(
    (search) =>
      !known.has(search) &&
      (search.ranking.count === 0 || search.tensors.length > 1 || search.left < search.equal),
  );
  const pieces = open.map(({ tensors }) => tensors.map(piecesOf));
  const wanted = open.flatMap(({ width, magnitude }, i) =>
    (pieces[i] ?? []).flat().map((piece) => ({ ...piece, width, magnitude, nth: undefined })),
  );
  const counted = (await magnitudesOf(wanted, pool, context)).values();
  const counts = new Map<Search, readonly (readonly Counted[])[]>(known);
  for (const [i, search] of open.entries())
    counts.set(
      search,
      (pieces[i] ?? []).map((own) =>
        own.map((piece) => ({ piece, ...(counted.next().value ?? { below: 0, equal: 0 }) })),
      ),
    );
  const all: (readonly Selected[])[] = [];
  for (const search of searches) {
    const found = counts.get(search);
    all.push(found ? await shared(search, found, pool, context) : alone(search));
  }
  return all;
}

/** One tensor, with all of its ties. */
const alone = ({ ranking: { tensors, count }, width, magnitude }: Search): Selected[] =>
  tensors.map((tensor) => ({
    rule: ruleOf(tensor, magnitude, width, Number.POSITIVE_INFINITY),
    zeros: count,
  }));

/** Ties go to the first tensors, and to the first positions of the last of these. */
async function shared(
  { ranking: { tensors }, width, magnitude, left }: Search,
  counts: readonly (readonly Counted[])[],
  pool: Pool,
  context: WorkContext,
): Promise<Selected[]> {
  let rest = left;
  const selected: Selected[] = [];
  for (const [i, tensor] of tensors.entries()) {
    const own = counts[i] ?? [];
    const equal = own.reduce((sum, part) => sum + part.equal, 0);
    const below = own.reduce((sum, part) => sum + part.below, 0);
    const taken = Math.min(rest, equal);
    const cut =
      taken === equal
        ? Number.POSITIVE_INFINITY
        : await afterNth(own, taken, width, magnitude, pool, context);
    rest -= taken;
    selected.push({
      rule: ruleOf(tensor, magnitude, width, cut),
      zeros: magnitude === 0n ? equal : below + taken,
    });
  }
  return selected;
}

/** The position behind the `nth` element of a magnitude. */
async function afterNth(
  parts: readonly Counted[],
  nth: number,
  width: 4 | 8,
  magnitude: bigint,
  pool: Pool,
  context: WorkContext,
): Promise<number> {
  let rest = nth;
  if (rest === 0) return 0;
  for (const { piece, equal } of parts) {
    if (rest > equal) {
      rest -= equal;
      continue;
    }
    const [found] = await magnitudesOf([{ ...piece, width, magnitude, nth: rest }], pool, context);
    return (found?.found ?? 0) + 1;
  }
  throw new Error('a tensor has fewer ties than were counted');
}

function ruleOf(tensor: TensorSource, magnitude: bigint, width: 4 | 8, tiesBefore: number): ZeroRule {
  const { dtype, name } = tensor.info;
  if (!isPrunedType(dtype)) throw new Error(`${name} is ${dtype}`);
  return ruleFor(dtype, magnitude, width, tiesBefore);
}
