import { type DType, elementCount } from '../core/dtype.js';
import type { TensorInfo } from '../core/tensor.js';
import { valuesOfCodes } from './elements.js';
import { entropyBits } from './histogram.js';
import { meanAndStd, mergeMoments, NO_MOMENTS } from './moments.js';
import type { StatisticsPart } from './statistics-fold.js';

export interface ValueHistogram {
  readonly min: number;
  readonly max: number;
  /** Equal bins over [min, max]; the last one includes `max`. */
  readonly counts: readonly number[];
}

/**
 * Figures of one tensor. `min`, `max`, `mean` and `std` (population) are over the finite values only and null
 * where there are none. 64-bit integers past 2^53 have their exact ends in `minExact` and `maxExact` (decimal).
 */
export interface TensorStats {
  readonly count: number;
  readonly min: number | null;
  readonly max: number | null;
  readonly mean: number | null;
  readonly std: number | null;
  readonly zeros: number;
  readonly nan: number;
  readonly inf: number;
  readonly minExact?: string;
  readonly maxExact?: string;
  /**
   * Different bit patterns, if at most 65,536 (a large tensor whose first elements hardly repeat is not counted).
   * Only with `detail`.
   */
  readonly distinct?: number;
  /**
   * Only with `detail`: entropy in bits of the 8 bits below the highest one (the exponent of f32 and bf16), from the
   * first eighth of every large block; of the whole element for types of at most 8 bits. What an entropy coder could
   * make of that byte.
   */
  readonly entropy?: number;
  readonly histogram?: ValueHistogram;
}

/** The figures that the parts of a tensor, in order, add up to. */
export function summarize(info: TensorInfo, parts: readonly StatisticsPart[], detail: boolean): TensorStats {
  const { dtype } = info;
  const count = elementCount(info.shape, info.name);
  const codeCounts = addUp(parts.map((part) => part.codeCounts));
  const figures = codeCounts ? fromCodes(dtype, count, codeCounts) : fromMoments(count, parts);
  return { ...figures, ...(detail ? detailOf(parts, codeCounts) : {}) };
}

function fromMoments(count: number, parts: readonly StatisticsPart[]): TensorStats {
  const moments = parts.reduce((sum, part) => mergeMoments(sum, part.moments ?? NO_MOMENTS), NO_MOMENTS);
  const { finite, zeros, nan, inf } = moments;
  const exact = parts.flatMap((part) => part.exact ?? []);
  const lowest = exact.reduce<bigint | undefined>(
    (low, { min }) => (low === undefined || min < low ? min : low),
    undefined,
  );
  const highest = exact.reduce<bigint | undefined>(
    (high, { max }) => (high === undefined || max > high ? max : high),
    undefined,
  );
  // Adding 0 makes a -0 plain.
  const min = finite === 0 ? null : moments.min + 0;
  const max = finite === 0 ? null : moments.max + 0;
  return {
    ...{ count, min, max, ...meanAndStd(moments), zeros, nan, inf },
    ...(lowest !== undefined && min !== null && Math.abs(min) >= 2 ** 53 ? { minExact: String(lowest) } : {}),
    ...(highest !== undefined && max !== null && Math.abs(max) >= 2 ** 53
      ? { maxExact: String(highest) }
      : {}),
  };
}

/** From how often each code occurs: sums of few terms. */
function fromCodes(dtype: DType, count: number, counts: Float64Array): TensorStats {
  const values = valuesOfCodes(dtype);
  let [finite, zeros, nan, inf, sum, min, max] = [0, 0, 0, 0, 0, Infinity, -Infinity];
  counts.forEach((n, code) => {
    const value = values[code] ?? 0;
    if (n === 0) return;
    if (Number.isNaN(value)) nan += n;
    else if (!Number.isFinite(value)) inf += n;
    else {
      finite += n;
      sum += n * value;
      if (value === 0) zeros += n;
      min = Math.min(min, value);
      max = Math.max(max, value);
    }
  });
  if (finite === 0) return { count, min: null, max: null, mean: null, std: null, zeros, nan, inf };
  const mean = sum / finite;
  let squares = 0;
  counts.forEach((n, code) => {
    const value = values[code] ?? 0;
    if (n > 0 && Number.isFinite(value)) squares += n * (value - mean) ** 2;
  });
  return {
    count,
    min: min + 0,
    max: max + 0,
    mean: mean + 0,
    std: Math.sqrt(squares / finite),
    zeros,
    nan,
    inf,
  };
}

function detailOf(
  parts: readonly StatisticsPart[],
  codeCounts: Float64Array | undefined,
): Pick<TensorStats, 'distinct' | 'entropy'> {
  if (codeCounts)
    return {
      distinct: codeCounts.reduce((n, times) => n + (times > 0 ? 1 : 0), 0),
      entropy: entropyBits(codeCounts),
    };
  const leading = addUp(parts.map((part) => part.leading));
  const seen = addUp(parts.map((part) => part.seen));
  if (parts.length === 0) return { distinct: 0, entropy: 0 };
  return {
    ...(seen ? { distinct: seen.reduce((n, times) => n + (times > 0 ? 1 : 0), 0) } : {}),
    ...(leading ? { entropy: entropyBits(leading) } : {}),
  };
}

function addUp(all: readonly (Float64Array | Uint8Array | undefined)[]): Float64Array | undefined {
  let sum: Float64Array | undefined;
  for (const counts of all) {
    if (!counts) continue;
    sum ??= new Float64Array(counts.length);
    for (let i = 0; i < counts.length; i++) sum[i] = (sum[i] ?? 0) + (counts[i] ?? 0);
  }
  return sum;
}
