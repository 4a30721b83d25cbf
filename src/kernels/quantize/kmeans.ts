/** How many values fell into each of some equal bins, and their sum: what a codebook is fitted to. */
export interface ValueBins {
  readonly counts: Float64Array;
  readonly sums: Float64Array;
}

/** Candidates for borders between clusters: more are merged first. */
export const CANDIDATES = 4096;
const ROUNDS = 100;

/**
 * At most `k` values, rising, that stand for all values with little squared error: the best borders between runs of
 * bins (dynamic programming over at most `most` of them), then Lloyd's iteration on all bins. No chance is involved.
 */
export function fitCodebook(bins: ValueBins, k: number, most: number = CANDIDATES): Float64Array {
  const used = occupied(bins);
  if (used.length === 0) return new Float64Array(1);
  const sums = new PrefixSums(bins, used);
  const starts = candidates(bins, used, most);
  const borders = starts.length <= k ? starts : bestBorders(sums, starts, k);
  return settled(sums, used, means(sums, borders, used.length));
}

function occupied({ counts }: ValueBins): Int32Array {
  const used = new Int32Array(counts.length);
  let n = 0;
  for (let bin = 0; bin < counts.length; bin++) if ((counts[bin] ?? 0) > 0) used[n++] = bin;
  return used.subarray(0, n);
}

/** Counts, sums and squares of the first n bins that have values. */
class PrefixSums {
  readonly #n: Float64Array;
  readonly #sum: Float64Array;
  readonly #square: Float64Array;
  readonly values: Float64Array;

  constructor({ counts, sums }: ValueBins, used: Int32Array) {
    this.#n = new Float64Array(used.length + 1);
    this.#sum = new Float64Array(used.length + 1);
    this.#square = new Float64Array(used.length + 1);
    this.values = new Float64Array(used.length);
    used.forEach((bin, i) => {
      const [n, sum] = [counts[bin] ?? 0, sums[bin] ?? 0];
      this.values[i] = sum / n;
      this.#n[i + 1] = (this.#n[i] ?? 0) + n;
      this.#sum[i + 1] = (this.#sum[i] ?? 0) + sum;
      this.#square[i + 1] = (this.#square[i] ?? 0) + (sum * sum) / n;
    });
  }

  /** Squared error of bins [from, to) around their mean. */
  cost(from: number, to: number): number {
    const n = (this.#n[to] ?? 0) - (this.#n[from] ?? 0);
    if (n <= 0) return 0;
    const sum = (this.#sum[to] ?? 0) - (this.#sum[from] ?? 0);
    return Math.max(0, (this.#square[to] ?? 0) - (this.#square[from] ?? 0) - (sum * sum) / n);
  }

  mean(from: number, to: number): number {
    const n = (this.#n[to] ?? 0) - (this.#n[from] ?? 0);
    return ((this.#sum[to] ?? 0) - (this.#sum[from] ?? 0)) / n;
  }
}

/**
 * Where clusters may begin, as indices of used bins: everywhere, or so that every stretch has the same part of the sum of
 * cube roots of the counts, which is how the cells of the best quantizer lie.
 */
function candidates({ counts }: ValueBins, used: Int32Array, most: number): Int32Array {
  if (used.length <= most) return Int32Array.from(used.keys());
  const weights = Float64Array.from(used, (bin) => Math.cbrt(counts[bin] ?? 0));
  const share = weights.reduce((sum, weight) => sum + weight, 0) / most;
  const starts: number[] = [];
  let filled = share;
  weights.forEach((weight, i) => {
    if (filled >= share) {
      starts.push(i);
      filled -= share;
    }
    filled += weight;
  });
  return Int32Array.from(starts.slice(0, most));
}

/** The `k` starts of clusters with the least cost. Costs of runs are concave-monge, so rows are solved by halves. */
function bestBorders(sums: PrefixSums, starts: Int32Array, k: number): Int32Array {
  const n = starts.length;
  const place = (i: number): number => starts[i] ?? sums.values.length;
  let before = Float64Array.from({ length: n + 1 }, (_, end) => sums.cost(0, place(end)));
  const choices: Int32Array[] = [];
  for (let cluster = 1; cluster < k; cluster++) {
    const row = new Float64Array(n + 1).fill(Number.POSITIVE_INFINITY);
    const choice = new Int32Array(n + 1);
    const solve = (low: number, high: number, first: number, last: number): void => {
      if (low > high) return;
      const middle = (low + high) >> 1;
      let best = Number.POSITIVE_INFINITY;
      let at = first;
      for (let start = first; start <= Math.min(middle - 1, last); start++) {
        const cost = (before[start] ?? 0) + sums.cost(place(start), place(middle));
        if (cost >= best) continue;
        best = cost;
        at = start;
      }
      row[middle] = best;
      choice[middle] = at;
      solve(low, middle - 1, first, at);
      solve(middle + 1, high, at, last);
    };
    solve(cluster + 1, n, cluster, n - 1);
    choices.push(choice);
    before = row;
  }
  const borders = new Int32Array(k);
  let end = n;
  for (let cluster = k - 1; cluster > 0; cluster--) {
    end = choices[cluster - 1]?.[end] ?? 0;
    borders[cluster] = place(end);
  }
  return borders;
}

const means = (sums: PrefixSums, borders: Int32Array, end: number): Float64Array =>
  Float64Array.from(borders, (start, i) => sums.mean(start, borders[i + 1] ?? end));

/** Lloyd's iteration: borders in the middle between values, values at the mean between borders. */
function settled(sums: PrefixSums, used: Int32Array, values: Float64Array): Float64Array {
  let current = values;
  for (let round = 0; round < ROUNDS; round++) {
    const borders = Int32Array.from(current, (value, i) =>
      i === 0 ? 0 : firstAbove(sums.values, ((current[i - 1] ?? 0) + value) / 2),
    );
    const next = current.map((value, i) => {
      const [from, to] = [borders[i] ?? 0, borders[i + 1] ?? used.length];
      return from < to ? sums.mean(from, to) : value;
    });
    const moved = next.some((value, i) => value !== current[i]);
    current = next;
    if (!moved) break;
  }
  return current;
}

/** Index of the first value above a limit. */
function firstAbove(values: Float64Array, limit: number): number {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((values[middle] ?? 0) > limit) high = middle;
    else low = middle + 1;
  }
  return low;
}
