import type { Bench } from './bench.js';

/** The largest floor: symbols are of ten bits. */
const MOST_FLOOR = 1023;

/** Bytes of six bits an element. */
const sixBits = (count: number): number => Math.ceil((count * 6) / 8);

/**
 * The plane `high` and the one below it as symbols and six bits: u16 their floor, the six bits, the codes of the symbols.
 * Undefined, and the planes as they were, if there are too many symbols or that takes `limit` bytes.
 */
export function packFine(
  { kernels, a, planeWork: work }: Bench,
  high: number,
  count: number,
  out: number,
  limit: number,
): number | undefined {
  const low = high - count;
  const codes = out + 2 + sixBits(count);
  const floor = kernels.fineFloor(high, low, count);
  if (floor < 0 || codes - out >= limit) return undefined;
  kernels.fineSplit(high, low, count, floor, out + 2);
  const needed = kernels.planeModel(high, count, work);
  if (needed === 3 || needed >= count || codes - out + needed >= limit) {
    kernels.fineJoin(high, low, count, floor, out + 2);
    return undefined;
  }
  new DataView(a.bytes.buffer).setUint16(out, floor, true);
  return codes - out + kernels.planeEncode(high, count, codes, work);
}

/** The inverse, where `length` bytes from `from` on are that. */
export function unpackFine(
  { kernels, a, planeWork: work }: Bench,
  from: number,
  length: number,
  count: number,
  high: number,
): boolean {
  const codes = from + 2 + sixBits(count);
  if (codes >= from + length) return false;
  const floor = new DataView(a.bytes.buffer).getUint16(from, true);
  if (floor > MOST_FLOOR || !kernels.planeDecode(codes, from + length, count, high, work)) return false;
  kernels.fineJoin(high, high - count, count, floor, from + 2);
  return true;
}
