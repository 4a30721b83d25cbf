import type { WorkContext } from '../../core/format.js';
import type { ZeroRule } from '../../core/recipe.js';
import type { TensorSource } from '../../core/tensor.js';
import { type Pool, withPool } from '../pool.js';
import { DIGITS } from './digits-task.js';
import { isPrunedType, keyWidth, ruleFor } from './keys.js';
import type { MagnitudeCounts } from './magnitudes-task.js';
import { digitsOf, magnitudesOf, type Piece, piecesOf, type Ranked, rankedAs } from './pieces.js';

/** Tensors that are ranked together, in order, and how many of all their elements are to become zero. */
export interface Ranking {
  readonly tensors: readonly TensorSource[];
  readonly count: number;
}

/** What becomes of one tensor of a ranking. */
export interface Selected {
  readonly rule: ZeroRule;
  /** Elements that are zero afterwards. */
  readonly zeros: number;
}

/** Results that are held at a time: up to 256 KiB each. */
const WAVE = 64;

/** A ranking while the digits of the magnitude are found that its last chosen element has. */
interface Search {
  readonly ranking: Ranking;
  readonly tensors: readonly Ranked[];
  readonly width: 4 | 8;
  /** The digits that are known. */
  magnitude: bigint;
  /** Of the elements that share them, so many are chosen, … */
  left: number;
  /** … of so many. */
  equal: number;
}

/**
 * The smallest elements by absolute value, exactly as many as were asked for: those below a magnitude, and of those that
 * have exactly this one the first, in the order of tensors and positions. Infinity and NaN come last. A radix search:
 * tensors are read once for each 16 bits of their floats, and once more where ties are told apart; nothing is sorted
 * or held. E_INTERRUPTED on abort.
 */
export const selectSmallest = (
  rankings: readonly Ranking[],
  context: WorkContext,
): Promise<(readonly Selected[])[]> =>
  withPool(context, async (pool) => {
    const searches = rankings.map(searchOf);
    for (const width of [4, 8] as const)
      for (let shift = width * 8 - 16; shift >= 0; shift -= 16)
        await findDigit(
          searches.filter((search) => search.width === width && search.left > 0),
          shift,
          pool,
          context,
        );
    return settle(searches, pool, context);
  });

function searchOf(ranking: Ranking): Search {
  const width = keyWidth(ranking.tensors);
  const tensors = ranking.tensors.map((tensor) => rankedAs(tensor, width));
  return { ranking, tensors, width, magnitude: 0n, left: ranking.count, equal: 0 };
}

/** One more digit of every search. */
async function findDigit(
  searches: readonly Search[],
  shift: number,
  pool: Pool,
  context: WorkContext,
): Promise<void> {
  const pieces = searches.flatMap((search) =>
    search.tensors.flatMap((tensor) => piecesOf(tensor).map((piece) => ({ search, piece }))),
  );
  let counts = new Float64Array(DIGITS);
  for (let at = 0; at < pieces.length; at += WAVE) {
    const wave = pieces.slice(at, at + WAVE);
    const wanted = wave.map(({ search: { width, magnitude }, piece }) => ({
      ...{ ...piece, width, shift, prefix: magnitude },
    }));
    const found = await digitsOf(wanted, pool, context);
    for (const [i, { search }] of wave.entries()) {
      const { first, counts: some } = found[i] ?? { first: 0, counts: [] };
      for (let j = 0; j < some.length; j++) counts[first + j] = (counts[first + j] ?? 0) + (some[j] ?? 0);
      if (pieces[at + i + 1]?.search === search) continue;
      decide(search, counts);
      counts = new Float64Array(DIGITS);
    }
  }
}

/** The digit at which enough elements have come together. */
function decide(search: Search, counts: Float64Array): void {
  let digit = 0;
  while (digit < DIGITS - 1 && search.left > (counts[digit] ?? 0)) search.left -= counts[digit++] ?? 0;
  search.equal = counts[digit] ?? 0;
  search.magnitude = (search.magnitude << 16n) | BigInt(digit);
}

/** Magnitudes are known: which of their ties are chosen, and how many zeros every tensor gets. */
async function settle(
  searches: readonly Search[],
  pool: Pool,
  context: WorkContext,
): Promise<(readonly Selected[])[]> {
  const open = searches.filter(
    ({ ranking, tensors, left, equal }) => ranking.count === 0 || tensors.length > 1 || left < equal,
  );
  const pieces = open.map(({ tensors }) => tensors.map(piecesOf));
  const wanted = open.flatMap(({ width, magnitude }, i) =>
    (pieces[i] ?? []).flat().map((piece) => ({ ...piece, width, magnitude, nth: undefined })),
  );
  const counted = (await magnitudesOf(wanted, pool, context)).values();
  const counts = new Map<Search, Counted[][]>();
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

type Counted = MagnitudeCounts & { readonly piece: Piece };

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
