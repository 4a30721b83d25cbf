import type { DType } from '../core/dtype.js';
import { elementCount } from '../core/dtype.js';
import type { WorkContext } from '../core/format.js';
import type { TensorSource } from '../core/tensor.js';
import { decodeElements, isNumeric } from './elements.js';

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
  /** Different bit patterns, if at most 65,536. Only with `detail`. */
  readonly distinct?: number;
  /** Bits per value of the byte that carries the exponent (or the highest byte): 0 to 8. Only with `detail`. */
  readonly entropy?: number;
  readonly histogram?: ValueHistogram;
}

export interface StatOptions {
  /** Bins of a histogram over [min, max]: a second pass over the bytes. */
  readonly histogram?: number;
  /** Also `distinct` and `entropy`. */
  readonly detail?: boolean;
}

export const hasStats = (dtype: DType): boolean => isNumeric(dtype);

/** Statistics of every tensor, in order; undefined where elements are not numbers (complex, strings, blocks). */
export async function statTensors(
  tensors: readonly TensorSource[],
  context: WorkContext,
  _options: StatOptions = {},
): Promise<(TensorStats | undefined)[]> {
  const all: (TensorStats | undefined)[] = [];
  for (const tensor of tensors) {
    all.push(hasStats(tensor.info.dtype) ? await statOne(tensor) : undefined);
    context.progress.advance(tensor.byteLength);
  }
  return all;
}

async function statOne(tensor: TensorSource): Promise<TensorStats> {
  const count = elementCount(tensor.info.shape);
  const parts: Uint8Array[] = [];
  for await (const chunk of tensor.stream()) parts.push(chunk);
  const values = new Float64Array(count);
  decodeElements(tensor.info.dtype, Buffer.concat(parts), count, values);
  let [min, max, sum, zeros, nan, inf] = [Infinity, -Infinity, 0, 0, 0, 0];
  const finite = values.filter(Number.isFinite);
  for (const value of values) {
    if (value === 0) zeros++;
    if (Number.isNaN(value)) nan++;
    else if (!Number.isFinite(value)) inf++;
  }
  for (const value of finite) {
    min = Math.min(min, value);
    max = Math.max(max, value);
    sum += value;
  }
  if (finite.length === 0) return { count, min: null, max: null, mean: null, std: null, zeros, nan, inf };
  const mean = sum / finite.length;
  let squares = 0;
  for (const value of finite) squares += (value - mean) ** 2;
  return { count, min, max, mean, std: Math.sqrt(squares / finite.length), zeros, nan, inf };
}
