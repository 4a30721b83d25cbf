import { Random } from '../../runtime/random.js';
import type { Interval, LatencySummary } from './report.js';

/** The p-quantile of sorted values, linear between neighbours (Hyndman and Fan's type 7, as numpy's default). */
export function quantile(sorted: ArrayLike<number>, p: number): number {
  const at = (sorted.length - 1) * p;
  const below = Math.floor(at);
  const low = sorted[below] ?? Number.NaN;
  const high = sorted[below + 1] ?? low;
  return low + (high - low) * (at - below);
}

export const mean = (values: ArrayLike<number>): number =>
  (Array.prototype.reduce.call(values, (sum, value) => (sum as number) + (value as number), 0) as number) /
  values.length;

/** The mean of what is left when a share of the values is taken away at both ends. */
export function trimmedMean(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  const cut = Math.floor(sorted.length * share);
  return mean(sorted.subarray(cut, sorted.length - cut));
}

/** Runs of one model, turn by turn: what happened at the same time is in the same place of every model's list. */
export type Turns = readonly Float64Array[];

/** Fewer turns than this tell nothing about how turns differ. */
const FEWEST_TURNS = 5;
const RESAMPLES = 1000;

export const METHOD =
  'nested percentile bootstrap over processes and turns (1000 resamples, the same ones for all models), 95 %; quantiles are linear between neighbours';

/**
 * Processes drawn with replacement, and turns in each of them, the same for all models of a bench. Runs of a turn hang
 * together, runs in one process do (where its memory came to lie), and so do the turns of models that took place at the
 * same time, which is what a noisy machine does to them: single runs drawn would make intervals far too narrow. Efron's
 * percentile bootstrap, with both levels drawn (Davison and Hinkley, Bootstrap Methods and their Application, 3.8).
 * Turns are numbered process by process.
 */
export function resamples(processes: number, turnsEach: number, seed: number): readonly Int32Array[] {
  if (processes * turnsEach < FEWEST_TURNS) return [];
  const random = new Random(seed);
  const draw = (): Int32Array => {
    const turns = new Int32Array(processes * turnsEach);
    for (let i = 0; i < processes; i++) {
      const process = random.below(processes);
      for (let j = 0; j < turnsEach; j++)
        turns[i * turnsEach + j] = process * turnsEach + random.below(turnsEach);
    }
    return turns;
  };
  return Array.from({ length: RESAMPLES }, draw);
}

/** All runs of the drawn turns, sorted. */
function drawn(turns: Turns, draw: Int32Array): Float64Array {
  let length = 0;
  for (const turn of draw) length += turns[turn]?.length ?? 0;
  const all = new Float64Array(length);
  let at = 0;
  for (const turn of draw) {
    const runs = turns[turn];
    if (!runs) continue;
    all.set(runs, at);
    at += runs.length;
  }
  return all.sort();
}

function intervalOf(values: Float64Array): Interval {
  if (values.length === 0) return null;
  values.sort();
  return [quantile(values, 0.025), quantile(values, 0.975)];
}

const BINS = 32;

export interface BatchStatistics {
  readonly latency: LatencySummary;
  /** Median of every resample, for ratios. */
  readonly medians: Float64Array;
}

export function summarize(turns: Turns, draws: readonly Int32Array[]): BatchStatistics {
  const sorted = drawn(turns, Int32Array.from(turns.keys()));
  const resampled = draws.map((draw) => {
    const values = drawn(turns, draw);
    const [p50, p95, p99] = [0.5, 0.95, 0.99].map((p) => quantile(values, p));
    return { mean: mean(values), p50: p50 ?? 0, p95: p95 ?? 0, p99: p99 ?? 0 };
  });
  const all = (figure: 'mean' | 'p50' | 'p95' | 'p99'): Float64Array =>
    Float64Array.from(resampled, (one) => one[figure]);
  return {
    latency: {
      ...{ mean: mean(sorted), min: quantile(sorted, 0), max: quantile(sorted, 1) },
      ...{ p25: quantile(sorted, 0.25), p50: quantile(sorted, 0.5), p75: quantile(sorted, 0.75) },
      ...{ p95: quantile(sorted, 0.95), p99: quantile(sorted, 0.99) },
      intervals: {
        ...{ mean: intervalOf(all('mean')), p50: intervalOf(all('p50')) },
        ...{ p95: intervalOf(all('p95')), p99: intervalOf(all('p99')) },
      },
      histogram: histogramOf(sorted),
    },
    medians: all('p50'),
  };
}

function histogramOf(sorted: Float64Array): LatencySummary['histogram'] {
  const [min, max] = [quantile(sorted, 0), quantile(sorted, 0.99)];
  const counts = new Array<number>(BINS).fill(0);
  for (const value of sorted) {
    const bin = max > min ? Math.min(BINS - 1, Math.floor(((value - min) / (max - min)) * BINS)) : 0;
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return { min, max, counts };
}

/** Median of `of` ÷ median of `by`, and its interval: resample by resample, so that what both suffered cancels out. */
export function ratioOfMedians(
  of: { readonly p50: number; readonly medians: Float64Array },
  by: { readonly p50: number; readonly medians: Float64Array },
): { ratio: number; interval: Interval } {
  const paired = of.medians.length === by.medians.length ? of.medians : new Float64Array(0);
  return {
    ratio: of.p50 / by.p50,
    interval: intervalOf(paired.map((median, i) => median / (by.medians[i] ?? Number.NaN))),
  };
}

/** Wilson's score interval of a share (1927), 95 %. */
export function wilson(right: number, samples: number): readonly [number, number] {
  if (samples === 0) return [0, 1];
  const z = 1.959963984540054;
  const share = right / samples;
  const scale = 1 + (z * z) / samples;
  const centre = (share + (z * z) / (2 * samples)) / scale;
  const half = (z / scale) * Math.sqrt((share * (1 - share)) / samples + (z * z) / (4 * samples * samples));
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}
