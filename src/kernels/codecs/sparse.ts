import { CODEC_AREA_BYTES } from '../wasm.js';
import type { Bench, ChunkShape } from './bench.js';
import type { Codec } from './codec.js';
import { packPlanes, unpackPlanes } from './plane-parts.js';

/** Positions are u32 in an area of 4 MiB. */
const MOST_POSITIONS = 1 << 20;
/** u32 number of positions, u32 bytes of their gaps. */
const HEAD = 8;

let lastFound: number | undefined;

/**
 * Positions at which the chunk differs from `other` (an address), coded as gaps to `bench.stored` after the head.
 * Undefined where there are too many; none are 0 bytes. Positions stay in area `b`.
 */
function storePositions(
  bench: Bench,
  { count, width }: ChunkShape,
  other: number,
  most: number,
  limit: number,
): { readonly found: number; readonly bytes: number } | undefined {
  const { kernels, raw, stored, b, work } = bench;
  const allowed = Math.min(MOST_POSITIONS, most);
  const found = kernels.differingPositions(raw.at, other, count, width, b.at, allowed, work);
  lastFound = found > allowed ? undefined : found;
  if (found > allowed) return undefined;
  const needed = found === 0 ? 0 : kernels.gapsModel(b.at, found, work);
  if (needed + HEAD >= limit) return undefined;
  const bytes = found === 0 ? 0 : kernels.gapsEncode(b.at, found, stored.at + HEAD, work);
  const head = new DataView(stored.bytes.buffer, stored.at, HEAD);
  head.setUint32(0, found, true);
  head.setUint32(4, bytes, true);
  return { found, bytes };
}

/** Reads them back into area `b`; undefined if there are none such. */
function loadPositions(
  bench: Bench,
  { count }: ChunkShape,
  length: number,
): { readonly found: number; readonly next: number } | undefined {
  const { kernels, stored, b, work } = bench;
  if (length < HEAD) return undefined;
  const head = new DataView(stored.bytes.buffer, stored.at, HEAD);
  const found = head.getUint32(0, true);
  const bytes = head.getUint32(4, true);
  if (found > Math.min(count, MOST_POSITIONS) || bytes > length - HEAD) return undefined;
  const from = stored.at + HEAD;
  if (found > 0 && !kernels.gapsDecode(from, from + bytes, found, count, b.at, work)) return undefined;
  return { found, next: HEAD + bytes };
}

/** Mostly zeros: where the others are, and their byte planes. */
export const sparse: Codec = {
  id: 4,
  name: 'sparse',
  needsBase: false,
  encode(bench, chunk, limit) {
    const { kernels, raw, stored, b, c } = bench;
    const { count, width, length } = chunk;
    c.bytes.fill(0, 0, length + 128);
    const positions = storePositions(bench, chunk, c.at, Math.floor(count * 0.8), limit);
    if (!positions) return undefined;
    const at = HEAD + positions.bytes;
    if (positions.found === 0) return at < limit ? at : undefined;
    kernels.gatherAt(raw.at, b.at, positions.found, width, c.at);
    const rest = packPlanes(bench, c.at, positions.found, width, stored.at + at, limit - at);
    return rest === undefined ? undefined : at + rest;
  },
  decode(bench, chunk, length) {
    const { kernels, raw, stored, b, c } = bench;
    const positions = loadPositions(bench, chunk, length);
    if (!positions) return false;
    const { found, next } = positions;
    raw.bytes.fill(0, 0, chunk.length);
    if (found === 0) return next === length;
    const end = stored.at + length;
    if (!unpackPlanes(bench, stored.at + next, end, found, chunk.width, c.at)) return false;
    kernels.scatterAt(c.at, b.at, found, chunk.width, raw.at);
    return true;
  },
};

/** Compact differences and their exponents lie in one area. */
const mostResiduals = (width: number): number => Math.floor((CODEC_AREA_BYTES - 256) / (width + 1));

/** Few elements differ from the base: where they are, and by how much (as `residual`). */
export const sparseResidual: Codec = {
  id: 17,
  name: 'sparse-residual',
  needsBase: true,
  inPlace: true,
  changed: (_, { width }) => (width === 8 ? undefined : lastFound),
  encode(bench, chunk, limit) {
    const { kernels, raw, base, stored, a, b, c, work } = bench;
    const { width, shift } = chunk;
    if (width === 8) return undefined;
    const most = Math.min(Math.floor(chunk.count * 0.6), mostResiduals(width));
    const positions = storePositions(bench, chunk, base.at, most, limit);
    if (!positions) return undefined;
    const at = HEAD + positions.bytes;
    const { found } = positions;
    if (found === 0) return at < limit ? at : undefined;
    kernels.gatherAt(raw.at, b.at, found, width, a.at);
    kernels.gatherAt(base.at, b.at, found, width, c.at);
    // The positions are written: differences and exponents take their place.
    const exps = b.at + Math.ceil((found * width + 128) / 64) * 64;
    const needed = kernels.residualModel(a.at, c.at, found, width, shift, b.at, exps, work);
    if (at + needed >= limit) return undefined;
    return at + kernels.residualEncode(found, width, b.at, exps, stored.at + at, a.at, work);
  },
  decode(bench, chunk, length) {
    const { kernels, raw, base, stored, a, b, c, work } = bench;
    const { width, shift } = chunk;
    if (width === 8) return false;
    const positions = loadPositions(bench, chunk, length);
    if (!positions) return false;
    const { found, next } = positions;
    if (found > mostResiduals(width)) return false;
    if (raw.at !== base.at) raw.bytes.set(base.bytes.subarray(0, chunk.length));
    if (found === 0) return next === length;
    kernels.gatherAt(base.at, b.at, found, width, c.at);
    const end = stored.at + length;
    if (!kernels.residualDecode(stored.at + next, end, c.at, found, width, shift, a.at, work)) return false;
    kernels.scatterAt(a.at, b.at, found, width, raw.at);
    return true;
  },
};
