import type { Bench, ElementWidth } from './bench.js';
import { packFine, unpackFine } from './fine-planes.js';

/** Methods of a stored plane. */
const RAW = 0;
const HUFFMAN = 2;
const CONSTANT = 3;
/** Of the highest: symbols of ten bits, and six bits of each raw; … */
const FINE = 4;
/** … which the next one has nothing left of. */
const ABOVE = 5;
/** Method (u8) and stored length (u32) of a plane. */
const ENTRY = 5;

const SPLIT = { 2: 'splitPlanes2', 4: 'splitPlanes4', 8: 'splitPlanes8' } as const;
const JOIN = { 2: 'joinPlanes2', 4: 'joinPlanes4', 8: 'joinPlanes8' } as const;

/** A sampled plane with more bits a byte (in 1/256) than this is stored raw without a closer look. */
const NOISE = Math.round(7.93 * 256);
/** Bytes below which a sample does not say that something is saved: tables of more symbols are longer. */
const LEAST_SAVED = 128;
/** Smaller planes are not sampled. */
const SAMPLED = 4096;

/**
 * Byte planes of `count` elements at `src` (rotated left by one bit, kernels/reference/planes.ts), the highest first:
 * for each a method (u8) and a length (u32), then the planes. Planes are raw, one byte (all are that), or Huffman codes.
 * Written to `out`; undefined where `limit` bytes do not suffice. Uses areas `a` and, where told, others as source.
 */
export function packPlanes(
  bench: Bench,
  src: number,
  count: number,
  width: ElementWidth,
  out: number,
  limit: number,
): number | undefined {
  const { kernels, a, planeWork: work } = bench;
  const memory = new DataView(a.bytes.buffer);
  const bytes = new Uint8Array(a.bytes.buffer);
  const { bits, fine } = sampleBits(bench, src, count, width);
  const above = width * ENTRY;
  // By the sample there is no chance: no plane is coded in vain.
  const guess = bits.reduce((sum, b) => sum + (Math.min(b, 2048) * count) / 2048, 0);
  if (above >= limit || Math.min(guess, guess - fine) * 0.97 > limit) return undefined;
  if (width > 1) kernels[SPLIT[width as 2 | 4 | 8]](src, a.at, count);
  const planes = width > 1 ? a.at : src;
  let at = out + above;
  const enter = (entry: number, method: number, length: number): void => {
    memory.setUint8(out + entry * ENTRY, method);
    memory.setUint32(out + entry * ENTRY + 1, length, true);
    at += length;
  };
  let entry = 0;
  if (fine > 0) {
    const length = packFine(bench, planes + (width - 1) * count, count, at, limit - above);
    if (length !== undefined) {
      enter(entry++, FINE, length);
      enter(entry++, ABOVE, 0);
    }
  }
  for (; entry < width; entry++) {
    const plane = planes + (width - 1 - entry) * count;
    const noise = (bits[width - 1 - entry] ?? 0) > NOISE;
    const needed = noise ? count : kernels.planeModel(plane, count, work);
    const method = needed >= count ? RAW : needed === 3 ? CONSTANT : HUFFMAN;
    const least = method === RAW ? count : method === CONSTANT ? 1 : needed - 16;
    if (at - out + least >= limit) return undefined;
    let length = least;
    if (method === RAW) bytes.copyWithin(at, plane, plane + count);
    else if (method === CONSTANT) bytes[at] = bytes[plane] ?? 0;
    else length = kernels.planeEncode(plane, count, at, work);
    enter(entry, method, length);
  }
  return at - out < limit ? at - out : undefined;
}

interface Sample {
  /** What the sample of each plane takes (in 1/256 of a bit a byte), the lowest first; 0 for small ones. */
  readonly bits: readonly number[];
  /** Bytes that the two highest planes are likely to save as symbols and six bits. */
  readonly fine: number;
}

/** Uses area `a`. */
function sampleBits(
  { kernels, a, planeWork: work }: Bench,
  src: number,
  count: number,
  width: ElementWidth,
): Sample {
  if (count <= SAMPLED) return { bits: new Array<number>(width).fill(0), fine: 0 };
  const sampled = kernels.sampleElements(src, count, width, a.at);
  let planes = a.at;
  if (width > 1) {
    planes += Math.ceil((sampled * width) / 64) * 64;
    kernels[SPLIT[width as 2 | 4 | 8]](a.at, planes, sampled);
  }
  const bits = Array.from({ length: width }, (_, p) =>
    kernels.planeSample(planes + p * sampled, sampled, work),
  );
  if (width === 1) return { bits, fine: 0 };
  const high = planes + (width - 1) * sampled;
  const floor = kernels.fineFloor(high, high - sampled, sampled);
  if (floor < 0) return { bits, fine: 0 };
  kernels.fineSplit(high, high - sampled, sampled, floor, planes + width * sampled);
  const symbols = kernels.planeSample(high, sampled, work) + 6 * 256;
  const both = bits.slice(-2).reduce((sum, b) => sum + Math.min(b, 2048), 0);
  const saved = ((both - symbols) * count) / 2048;
  return { bits, fine: symbols === 6 * 256 || saved < LEAST_SAVED ? 0 : saved };
}

/** The inverse: elements to `out` from the bytes `src` … `end`. False if they are none. Uses area `a`. */
export function unpackPlanes(
  bench: Bench,
  src: number,
  end: number,
  count: number,
  width: ElementWidth,
  out: number,
): boolean {
  const { kernels, a, planeWork: work } = bench;
  const memory = new DataView(a.bytes.buffer);
  const bytes = new Uint8Array(a.bytes.buffer);
  let at = src + width * ENTRY;
  if (at > end) return false;
  const planes = width > 1 ? a.at : out;
  // The lowest plane last to be written would be overwritten by the few bytes past the end of the one before it.
  const entries: {
    readonly plane: number;
    readonly method: number;
    readonly from: number;
    readonly to: number;
  }[] = [];
  for (let entry = 0; entry < width; entry++) {
    const method = memory.getUint8(src + entry * ENTRY);
    const length = memory.getUint32(src + entry * ENTRY + 1, true);
    if (length > end - at) return false;
    if (method === FINE && (entry > 0 || width === 1)) return false;
    if ((method === ABOVE) !== (entry === 1 && entries[0]?.method === FINE)) return false;
    entries.push({ plane: planes + (width - 1 - entry) * count, method, from: at, to: at + length });
    at += length;
  }
  if (at !== end) return false;
  for (const { plane, method, from, to } of entries.reverse()) {
    if (method === FINE) {
      if (!unpackFine(bench, from, to - from, count, plane)) return false;
    } else if (method === ABOVE) {
      if (to !== from) return false;
    } else if (method === HUFFMAN) {
      if (!kernels.planeDecode(from, to, count, plane, work)) return false;
    } else if (method === CONSTANT) {
      if (to - from !== 1) return false;
      bytes.fill(bytes[from] ?? 0, plane, plane + count);
    } else if (method === RAW) {
      if (to - from !== count) return false;
      bytes.copyWithin(plane, from, to);
    } else return false;
  }
  if (width > 1) kernels[JOIN[width as 2 | 4 | 8]](a.at, out, count);
  return true;
}
