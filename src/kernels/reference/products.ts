import type { Rows } from '../quantize/row-products.js';

/** Σ a[i, k]·b[j, k] of all rows, even and odd k summed apart. */
export function rowProductsReference(a: Rows, b: Rows, length: number): Float64Array {
  const out = new Float64Array(a.count * b.count);
  for (let i = 0; i < a.count; i++)
    for (let j = 0; j < b.count; j++) {
      let [even, odd] = [0, 0];
      for (let k = 0; k < length; k++) {
        const product = (a.values[a.first + i * a.step + k] ?? 0) * (b.values[b.first + j * b.step + k] ?? 0);
        if (k % 2 === 0) even += product;
        else odd += product;
      }
      out[i * b.count + j] = even + odd;
    }
  return out;
}
