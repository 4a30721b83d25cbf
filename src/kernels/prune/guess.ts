import type { WorkContext } from '../../core/format.js';
import type { Pool } from '../pool.js';
import { BLOCK_ELEMENTS, type NearTask, type SampleTask } from '../tasks.js';
import { DIGITS } from './digits-task.js';
import type { MagnitudeCounts } from './magnitudes-task.js';
import type { NearCounts } from './near-task.js';
import { type Piece, piecesOf } from './pieces.js';
import type { Search } from './search.js';

/** Elements below and of the magnitude that was found, in a piece of a tensor. */
export type Counted = MagnitudeCounts & { readonly piece: Piece };

/** Fewer elements are read so fast that a sample gains nothing. */
const LEAST_ELEMENTS = 1 << 23;
/** Elements of a sample, about, and of one block at most. */
const SAMPLED = 1 << 20;
const MOST_TAKEN = 1024;

/**
 * Finds the magnitudes of large searches in one read. A sample from everywhere says where to look: its magnitude of the
 * same rank lies within the 65,536 around the true one, unless the order of elements plays a trick; then the search is
 * missing from the result, and as it was before. The counts are exact, whatever the sample says.
 */
export async function guessed(
  searches: readonly Search[],
  pool: Pool,
  context: WorkContext,
): Promise<ReadonlyMap<Search, readonly (readonly Counted[])[]>> {
  const found = new Map<Search, readonly (readonly Counted[])[]>();
  for (const search of searches.filter(isLarge)) {
    const from = Math.max(0, (await estimated(search, pool, context)) - DIGITS / 2);
    const around = await countAround(search, BigInt(from), pool, context);
    if (around) found.set(search, around);
  }
  return found;
}

const isLarge = ({ width, left, tensors }: Search): boolean =>
  width === 4 &&
  left > 0 &&
  // Chunks have to be unfolded whole.
  tensors.every(({ program }) => program !== undefined && program.coded === undefined) &&
  tensors.reduce((sum, { count }) => sum + count, 0) >= LEAST_ELEMENTS;

/** The magnitude that has the wanted rank in a sample. */
async function estimated({ tensors, left }: Search, pool: Pool, context: WorkContext): Promise<number> {
  const all = tensors.reduce((sum, { count }) => sum + count, 0);
  const taken = Math.min(MOST_TAKEN, Math.ceil((SAMPLED * BLOCK_ELEMENTS) / all / 8) * 8);
  const tasks = tensors.flatMap((tensor) =>
    piecesOf(tensor).flatMap(({ start, end }): SampleTask[] =>
      tensor.program ? [{ kind: 'sample', program: tensor.program, start, end, taken }] : [],
    ),
  );
  const parts = (await pool.run(tasks, context.signal)).flatMap(({ sample }) => sample ?? []);
  const size = parts.reduce((sum, { length }) => sum + length, 0);
  const rank = Math.max(1, Math.round((left / all) * size));
  const top = counted(parts, (magnitude) => magnitude >>> 16);
  const first = digitAt(top, rank);
  const low = counted(parts, (magnitude) => (magnitude >>> 16 === first.digit ? magnitude & 0xffff : -1));
  return first.digit * DIGITS + digitAt(low, first.rest).digit;
}

/** How often each digit occurs; −1 is none. */
function counted(parts: readonly Uint32Array[], digitOf: (magnitude: number) => number): Uint32Array {
  const counts = new Uint32Array(DIGITS);
  for (const part of parts)
    for (const magnitude of part) {
      const digit = digitOf(magnitude);
      if (digit >= 0) counts[digit] = (counts[digit] ?? 0) + 1;
    }
  return counts;
}

/** The digit at which so many have come together, and how many of it are needed. */
function digitAt(counts: Uint32Array, rank: number): { readonly digit: number; readonly rest: number } {
  let [digit, rest] = [0, rank];
  while (digit < DIGITS - 1 && rest > (counts[digit] ?? 0)) rest -= counts[digit++] ?? 0;
  return { digit, rest };
}

/** The magnitude, if it is among those from `from` on; what every piece has below and of it. */
async function countAround(
  search: Search,
  from: bigint,
  pool: Pool,
  context: WorkContext,
): Promise<Counted[][] | undefined> {
  const pieces = search.tensors.map(piecesOf);
  const tasks = pieces.flat().flatMap(({ tensor: { program }, start, end }): NearTask[] => {
    return program ? [{ kind: 'near', program, start, end, from }] : [];
  });
  const results = (await pool.run(tasks, context.signal)).flatMap(({ near }) => near ?? []);
  const sums = new Float64Array(DIGITS);
  let rest = search.left;
  for (const { below, distances, counts } of results) {
    rest -= below;
    for (const [i, distance] of distances.entries())
      sums[distance] = (sums[distance] ?? 0) + (counts[i] ?? 0);
  }
  if (rest < 1) return undefined;
  let at = 0;
  while (at < DIGITS && rest > (sums[at] ?? 0)) rest -= sums[at++] ?? 0;
  if (at === DIGITS) return undefined;
  search.magnitude = from + BigInt(at);
  search.left = rest;
  search.equal = sums[at] ?? 0;
  const one = results.values();
  return pieces.map((own) =>
    own.flatMap((piece) => {
      const counts = one.next().value;
      return counts ? [{ piece, ...countsAt(counts, at) }] : [];
    }),
  );
}

function countsAt({ below, distances, counts }: NearCounts, at: number): MagnitudeCounts {
  let [smaller, equal] = [below, 0];
  for (const [i, distance] of distances.entries()) {
    if (distance < at) smaller += counts[i] ?? 0;
    if (distance === at) equal = counts[i] ?? 0;
  }
  return { below: smaller, equal };
}
