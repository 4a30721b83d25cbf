import { type AffineSpec, parametersOf } from './affine.js';
import { integersOf } from './integers.js';
import { roundHalfEven } from './parameters.js';
import { MOST_ROWS, rowProducts } from './row-products.js';

/** Weights of some outputs, each a row over the inputs; at most MOST_ROWS rows. */
export interface SampledRows {
  readonly values: Float32Array;
  readonly size: number;
}

/** W − Q(s·W) / s, Q being the nearest integers in blocks along the rows. */
export function scaledRounding(
  { values, size }: SampledRows,
  scales: Float64Array,
  spec: AffineSpec,
): SampledRows {
  const block = spec.block ?? size;
  const out = new Float32Array(values.length);
  const { low, high } = integersOf(spec.dtype);
  const scaled = new Float32Array(size);
  const ends = { min: new Float32Array(1), max: new Float32Array(1), finite: true };
  for (let row = 0; row < values.length; row += size)
    for (let start = 0; start < size; start += block) {
      const end = Math.min(size, start + block);
      ends.min[0] = Number.POSITIVE_INFINITY;
      ends.max[0] = Number.NEGATIVE_INFINITY;
      for (let k = start; k < end; k++) {
        const value = Math.fround((values[row + k] ?? 0) * (scales[k] ?? 1));
        scaled[k] = value;
        ends.min[0] = Math.min(ends.min[0], value);
        ends.max[0] = Math.max(ends.max[0], value);
      }
      const found = parametersOf(ends, spec);
      const [scale = 0, zero = 0] = [found.scales[0], found.zeros[0]];
      for (let k = start; k < end; k++) {
        const q = scale === 0 ? zero : roundHalfEven((scaled[k] ?? 0) / scale) + zero;
        const kept = (Math.min(high, Math.max(low, q)) - zero) * scale;
        out[row + k] = (values[row + k] ?? 0) - kept / (scales[k] ?? 1);
      }
    }
  return { values: out, size };
}

/** Σ dᵀ·H·d over the rows d: the squared error of what these outputs give, H = XᵀX. */
export function outputError({ values, size }: SampledRows, gram: Float64Array): number {
  const rows = { values: Float64Array.from(values), first: 0, step: size, count: values.length / size };
  let error = 0;
  for (let start = 0; start < size; start += MOST_ROWS) {
    const count = Math.min(MOST_ROWS, size - start);
    const products = rowProducts(rows, { values: gram, first: start * size, step: size, count }, size);
    for (let n = 0, at = 0; n < rows.count; n++)
      for (let k = n * size + start, end = k + count; k < end; k++, at++)
        error += (values[k] ?? 0) * (products[at] ?? 0);
  }
  return error;
}
