import type { Codec } from './codec.js';

/**
 * Ordered-integer differences to the base, classes Huffman-coded by the exponent of the base element, low bits raw
 * (kernels/reference/residual.ts has the layout).
 */
export const residual: Codec = {
  id: 16,
  name: 'residual',
  needsBase: true,
  encode(bench, { count, width, shift }, limit) {
    const { kernels, raw, base, stored, a, b, c, work } = bench;
    if (width === 8 || count === 0) return undefined;
    const needed = kernels.residualModel(raw.at, base.at, count, width, shift, a.at, b.at, work);
    if (needed >= limit) return undefined;
    return kernels.residualEncode(count, width, a.at, b.at, stored.at, c.at, work);
  },
  changed: ({ kernels }, { count, width }) =>
    width === 8 || count === 0 ? undefined : kernels.residualChanged(),
  decode(bench, { count, width, shift }, length) {
    const { kernels, raw, base, stored, work } = bench;
    if (width === 8 || count === 0) return false;
    const end = stored.at + length;
    return Boolean(kernels.residualDecode(stored.at, end, base.at, count, width, shift, raw.at, work));
  },
};
