/** One way to store an item: what it takes and what it costs. */
export interface Choice {
  readonly bytes: number;
  readonly loss: number;
}

/** A point of the frontier: no other choice has both fewer bytes and less loss. */
export interface Solution extends Choice {
  /** By item: the index of its choice. */
  readonly choices: readonly number[];
}

/** Sizes are told apart down to a part in so many of all that can be saved. */
const UNITS = 8192;

/**
 * The multiple-choice knapsack: one choice for every item, so that the sum of the bytes stays within a budget and the
 * sum of the losses is least. Solved for all budgets at once by dynamic programming over the bytes that are saved,
 * which are rounded down to a unit: a solution never takes more bytes than it says.
 *
 * @returns the frontier, from the most bytes to the fewest. `bytes` and `loss` are exact sums over the choices.
 * Complexity O(items × choices × 8192). Source: Kellerer, Pferschy, Pisinger, Knapsack Problems, 2004, section 11.5.
 */
export function frontier(items: readonly (readonly Choice[])[]): Solution[] {
  const largest = items.map((item) => Math.max(...item.map(({ bytes }) => bytes)));
  const savable = items.reduce(
    (sum, item, i) => sum + ((largest[i] ?? 0) - Math.min(...item.map(({ bytes }) => bytes))),
    0,
  );
  const unit = Math.max(1, Math.ceil(savable / UNITS));
  const size = Math.floor(savable / unit) + 1;
  // least[s]: the smallest loss with which the items so far save exactly s units.
  let least = new Float64Array(size).fill(Number.POSITIVE_INFINITY);
  least[0] = 0;
  const picked = items.map((item, i) => {
    const next = new Float64Array(size).fill(Number.POSITIVE_INFINITY);
    const picks = new Uint16Array(size);
    item.forEach(({ bytes, loss }, at) => {
      const saved = Math.floor(((largest[i] ?? 0) - bytes) / unit);
      for (let s = saved; s < size; s++) {
        const sum = (least[s - saved] ?? 0) + loss;
        if (sum < (next[s] ?? 0)) {
          next[s] = sum;
          picks[s] = at;
        }
      }
    });
    least = next;
    return picks;
  });
  return undominated(
    [...least.keys()]
      .filter((s) => (least[s] ?? 0) < Number.POSITIVE_INFINITY)
      .map((s) => traced(items, picked, largest, unit, s)),
  );
}

/** The choices that lead to `saved` units. */
function traced(
  items: readonly (readonly Choice[])[],
  picked: readonly Uint16Array[],
  largest: readonly number[],
  unit: number,
  saved: number,
): Solution {
  const choices = new Array<number>(items.length).fill(0);
  let rest = saved;
  let [bytes, loss] = [0, 0];
  for (let i = items.length - 1; i >= 0; i--) {
    const at = picked[i]?.[rest] ?? 0;
    const choice = items[i]?.[at] ?? { bytes: 0, loss: 0 };
    choices[i] = at;
    bytes += choice.bytes;
    loss += choice.loss;
    rest -= Math.floor(((largest[i] ?? 0) - choice.bytes) / unit);
  }
  return { bytes, loss, choices };
}

function undominated(points: readonly Solution[]): Solution[] {
  const sorted = [...points].sort((a, b) => a.bytes - b.bytes || a.loss - b.loss);
  let best = Number.POSITIVE_INFINITY;
  const kept = sorted.filter(({ loss }) => {
    const better = loss < best;
    if (better) best = loss;
    return better;
  });
  return kept.reverse();
}
