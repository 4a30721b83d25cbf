import type { TensorSource } from '../../core/tensor.js';
import { decodeElements } from '../elements.js';
import { rangesOf } from './affine.js';
import { type CodedTensor, codedBy, encoded } from './codes.js';
import { Groups } from './groups.js';
import { CODEBOOK_BINS, fitCodebook, type ValueBins } from './kmeans.js';
import { Nearest } from './nearest.js';
import { f32Values } from './values.js';

export interface PaletteTensor extends CodedTensor {
  /** The values that codes stand for, rising. */
  readonly table: Float64Array;
}

/**
 * A tensor as codes of at most `k` values that are fitted to it. The values are read twice (ends, then a histogram),
 * and once more when codes are pulled. Undefined if a value is NaN or infinite.
 */
export async function paletteTensor(
  tensor: TensorSource,
  k: number,
  dtype: 'u8' | 'u4' | 'u2',
): Promise<PaletteTensor | undefined> {
  const ends = await rangesOf(tensor, new Groups(tensor.info.shape, {}));
  if (!ends.finite) return undefined;
  const [min = 0, max = 0] = [ends.min[0], ends.max[0]];
  const bins = await binsOf(tensor, min, max);
  const { dtype: own } = tensor.info;
  const fit = fitCodebook(bins, k);
  // The table is stored in the tensor's own type, and that is what codes stand for.
  const table = new Float64Array(fit.length);
  decodeElements(own, encoded(own, fit), fit.length, table);
  const nearest = new Nearest(table);
  return {
    table,
    ...codedBy(tensor, dtype, {
      codes: (values) => Uint8Array.from(values, (value) => nearest.of(value)),
      valuesOf: (codes) => Float64Array.from(codes, (code) => table[code] ?? 0),
    }),
  };
}

async function binsOf(tensor: TensorSource, min: number, max: number): Promise<ValueBins> {
  const counts = new Float64Array(CODEBOOK_BINS);
  const sums = new Float64Array(CODEBOOK_BINS);
  const scale = max > min ? CODEBOOK_BINS / (max - min) : 0;
  for await (const { values } of f32Values(tensor))
    for (let i = 0; i < values.length; i++) {
      const value = values[i] ?? 0;
      const bin = Math.min(CODEBOOK_BINS - 1, Math.floor((value - min) * scale));
      counts[bin] = (counts[bin] ?? 0) + 1;
      sums[bin] = (sums[bin] ?? 0) + value;
    }
  return { counts, sums };
}
