import { BINS, type HistogramState } from './histogram.js';

/** Levels that magnitudes are quantized to while a threshold is looked for: those of a signed 8-bit integer. */
const LEVELS = 128;
/** What a level that has no value in it counts as where the original has some. */
const NEVER = 1e-6;

/**
 * The magnitude beyond which values are cut off, so that the distribution of what is left differs least (Kullback and
 * Leibler) from the one that was seen, when it is spread over 128 levels. Zeros are left out: they are exact in every
 * scale, and the many that a Relu makes would hide the rest.
 */
export function entropyThreshold({ exponent, positive, negative, min, max }: HistogramState): number {
  const bins = Float64Array.from({ length: BINS }, (_, k) => (positive[k] ?? 0) + (negative[k] ?? 0));
  let used = BINS;
  while (used > 0 && bins[used - 1] === 0) used--;
  const largest = Math.max(max, -min);
  if (used <= LEVELS) return largest;
  let outliers = 0;
  for (let k = LEVELS; k < used; k++) outliers += bins[k] ?? 0;
  let best = used;
  let least = Number.POSITIVE_INFINITY;
  for (let kept = LEVELS; kept <= used; kept++) {
    const differs = divergence(bins, kept, outliers);
    // Of two that are equally good, the wider one cuts off less.
    if (differs <= least) [best, least] = [kept, differs];
    outliers -= bins[kept] ?? 0;
  }
  return best === used ? largest : best * 2 ** exponent;
}

/** Of the first bins, with the outliers in the last of them, from what 128 levels would make of these bins. */
function divergence(bins: Float64Array, kept: number, outliers: number): number {
  let inside = 0;
  for (let k = 0; k < kept; k++) inside += bins[k] ?? 0;
  const total = inside + outliers;
  if (inside === 0) return Number.POSITIVE_INFINITY;
  let differs = 0;
  for (let level = 0; level < LEVELS; level++) {
    const from = Math.floor((level * kept) / LEVELS);
    const to = Math.floor(((level + 1) * kept) / LEVELS);
    let sum = 0;
    let occupied = 0;
    for (let k = from; k < to; k++) {
      const n = bins[k] ?? 0;
      sum += n;
      if (n > 0) occupied++;
    }
    // A level gives its sum back in equal parts to the bins that had something in them.
    const each = occupied > 0 ? sum / occupied / inside : 0;
    for (let k = from; k < to; k++) {
      const n = (bins[k] ?? 0) + (k === kept - 1 ? outliers : 0);
      if (n === 0) continue;
      const p = n / total;
      const q = (bins[k] ?? 0) > 0 ? each : NEVER;
      differs += p * Math.log(p / q);
    }
  }
  return differs;
}
