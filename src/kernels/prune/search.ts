import type { WorkContext } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';
import type { Pool } from '../pool.js';
import { DIGITS } from './digits-task.js';
import { keyWidth } from './keys.js';
import { digitsOf, piecesOf, type Ranked, rankedAs } from './pieces.js';

/** Tensors that are ranked together, in order, and how many of all their elements are to become zero. */
export interface Ranking {
  readonly tensors: readonly TensorSource[];
  readonly count: number;
}

/** Results that are held at a time: up to 256 KiB each. */
const WAVE = 64;

/** A ranking while the digits of the magnitude are found that its last chosen element has. */
export interface Search {
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

export function searchOf(ranking: Ranking): Search {
  const width = keyWidth(ranking.tensors);
  const tensors = ranking.tensors.map((tensor) => rankedAs(tensor, width));
  return { ranking, tensors, width, magnitude: 0n, left: ranking.count, equal: 0 };
}

/** One more digit of every search. */
export async function findDigit(
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
