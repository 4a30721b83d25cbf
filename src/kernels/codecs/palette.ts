import type { Codec } from './codec.js';
import { packPlanes, unpackPlanes } from './plane-parts.js';

/** Few distinct values (quantized weights in a wider type): u16 number of values, the values, the plane of their indices. */
export const palette: Codec = {
  id: 5,
  name: 'palette',
  needsBase: false,
  encode(bench, { count, width }, limit) {
    const { kernels, raw, stored, b, c, work } = bench;
    if (width === 1) return undefined; // planes do as well
    const found = kernels.paletteOf(raw.at, count, width, c.at, b.at, work);
    const head = 2 + found * width;
    if (found === 0 || head >= limit) return undefined;
    const values = new BigUint64Array(c.bytes.buffer, c.at, found);
    const out = new DataView(stored.bytes.buffer, stored.at, head);
    out.setUint16(0, found, true);
    values.forEach((value, i) => {
      const at = 2 + i * width;
      if (width === 2) out.setUint16(at, Number(value), true);
      else if (width === 4) out.setUint32(at, Number(value), true);
      else out.setBigUint64(at, value, true);
    });
    const rest = packPlanes(bench, b.at, count, 1, stored.at + head, limit - head);
    return rest === undefined ? undefined : head + rest;
  },
  decode(bench, { count, width }, length) {
    const { kernels, raw, stored, b, c } = bench;
    if (width === 1 || length < 2) return false;
    const view = new DataView(stored.bytes.buffer, stored.at, length);
    const found = view.getUint16(0, true);
    const head = 2 + found * width;
    if (found === 0 || found > 256 || head > length) return false;
    const values = new BigUint64Array(c.bytes.buffer, c.at, 256).fill(0n);
    for (let i = 0; i < found; i++) {
      const at = 2 + i * width;
      values[i] =
        width === 2
          ? BigInt(view.getUint16(at, true))
          : width === 4
            ? BigInt(view.getUint32(at, true))
            : view.getBigUint64(at, true);
    }
    const end = stored.at + length;
    if (!unpackPlanes(bench, stored.at + head, end, count, 1, b.at)) return false;
    return Boolean(kernels.paletteElements(b.at, count, width, c.at, found, raw.at));
  },
};
