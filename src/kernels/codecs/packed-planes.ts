import type { Codec } from './codec.js';
import { packPlanes, unpackPlanes } from './plane-parts.js';

/** Byte planes, each raw, constant or Huffman-coded: exponents shrink to a third, mantissas are noise. */
export const packedPlanes: Codec = {
  id: 3,
  name: 'planes-huffman',
  needsBase: false,
  encode: (bench, { count, width }, limit) =>
    packPlanes(bench, bench.raw.at, count, width, bench.stored.at, limit),
  decode: (bench, { count, width }, length) =>
    unpackPlanes(bench, bench.stored.at, bench.stored.at + length, count, width, bench.raw.at),
};

/** The same of the exclusive or with the base: for elements of 8 bytes, and where bits change but numbers do not follow. */
export const xorPlanes: Codec = {
  id: 18,
  name: 'xor-planes',
  needsBase: true,
  encode(bench, { count, width, length }, limit) {
    bench.kernels.xorBytes(bench.raw.at, bench.base.at, length, bench.c.at);
    return packPlanes(bench, bench.c.at, count, width, bench.stored.at, limit);
  },
  decode(bench, { count, width, length: bytes }, length) {
    const { raw, base, stored, kernels } = bench;
    if (!unpackPlanes(bench, stored.at, stored.at + length, count, width, raw.at)) return false;
    kernels.xorBytes(raw.at, base.at, bytes, raw.at);
    return true;
  },
};
