import { BitReader, BitWriter } from './streams.js';

export interface FinePlanes {
  /** One less than the least of the ten highest bits that is not 0. */
  readonly floor: number;
  /** The ten highest bits less the floor; 0 where they are 0. */
  readonly symbols: Uint8Array;
  /** The six bits below, of every element. */
  readonly packed: Uint8Array;
}

/** The two highest planes as symbols of ten bits and six bits raw; undefined if there are more than 255 symbols between. */
export function splitFine(high: Uint8Array, low: Uint8Array): FinePlanes | undefined {
  const tops = Array.from(high, (byte, i) => (byte << 2) | ((low[i] ?? 0) >>> 6));
  const floor = tops.reduce((least, top) => (top > 0 ? Math.min(least, top - 1) : least), 1023);
  const most = Math.max(0, ...tops);
  if (most - floor > 255) return undefined;
  const packed = new BitWriter();
  for (const byte of low) packed.put(byte & 63, 6);
  const symbols = Uint8Array.from(tops, (top) => (top === 0 ? 0 : top - floor));
  return { floor: most === 0 ? 0 : floor, symbols, packed: packed.bytes() };
}

/** The inverse of `splitFine`. */
export function joinFine({ floor, symbols, packed }: FinePlanes): { high: Uint8Array; low: Uint8Array } {
  const bits = new BitReader(packed);
  const tops = Array.from(symbols, (symbol) => (symbol === 0 ? 0 : symbol + floor));
  return {
    high: Uint8Array.from(tops, (top) => Math.min(255, top >>> 2)),
    low: Uint8Array.from(tops, (top) => ((top & 3) << 6) | bits.take(6)),
  };
}
