import { baseOf, classOf, lowBits } from './classes.js';
import { codeFor, loadCode, putSymbol, storeCode, takeSymbol } from './huffman.js';
import { BitWriter, joinBytes, joinStreams, quarters, splitStreams } from './streams.js';

/** Classes of gaps below 2^24. */
const CLASSES = 92;

/** Ascending positions of the elements of `width` bytes that are not the same in both. */
export function differingPositions(a: Uint8Array, b: Uint8Array, width: number): number[] {
  const found: number[] = [];
  for (let at = 0; at < a.length; at += width)
    if (a.subarray(at, at + width).some((byte, i) => byte !== b[at + i])) found.push(at / width);
  return found;
}

/** The elements at the positions, one after the other. */
export function gather(bytes: Uint8Array, positions: readonly number[], width: number): Uint8Array {
  return joinBytes(positions.map((p) => bytes.subarray(p * width, (p + 1) * width)));
}

/** The inverse: puts elements to their positions. */
export function scatter(
  elements: Uint8Array,
  positions: readonly number[],
  width: number,
  out: Uint8Array,
): void {
  positions.forEach((p, i) => {
    out.set(elements.subarray(i * width, (i + 1) * width), p * width);
  });
}

/**
 * Ascending positions, one at least, in four streams of a quarter of them. Stored: the code of the classes of gaps, the
 * lengths of three streams, the first position of every stream (0 where it has none; u32 each), the streams: of every
 * further position how many lie between it and the one before, as the code of the class and the low bits.
 */
export function encodeGaps(positions: readonly number[]): Uint8Array {
  const parts = quarters(positions.length).map(([from, end]) => positions.slice(from, end));
  const gaps = parts.map((part) => part.slice(1).map((p, i) => p - (part[i] ?? 0) - 1));
  const counts = new Uint32Array(CLASSES);
  for (const gap of gaps.flat()) counts[classOf(gap)] = (counts[classOf(gap)] ?? 0) + 1;
  // Four positions have no gaps: a code of something.
  if (positions.length <= 4) counts[0] = 1;
  const code = codeFor(counts);
  const streams = gaps.map((list) => {
    const stream = new BitWriter();
    for (const gap of list) {
      putSymbol(stream, code, classOf(gap));
      stream.put(gap, lowBits(classOf(gap)));
    }
    return stream;
  });
  const firsts = parts.map(([first = 0]) => first);
  return joinBytes([storeCode(counts, code), joinStreams(streams, firsts)]);
}

/** `n` positions below `count`; undefined if these bytes are none. */
export function decodeGaps(bytes: Uint8Array, n: number, count: number): number[] | undefined {
  const loaded = loadCode(bytes, CLASSES);
  const parts = loaded && splitStreams(bytes.subarray(loaded.taken), 4);
  if (!parts) return undefined;
  const positions: number[] = [];
  for (const [q, [from, end]] of quarters(n).entries()) {
    const stream = parts.streams[q];
    let position = parts.between[q] ?? 0;
    for (let i = from; i < end; i++) {
      if (i > from) {
        const c = stream && takeSymbol(stream, loaded.code);
        if (c === undefined) return undefined;
        position += baseOf(c) + (stream?.take(lowBits(c)) ?? 0) + 1;
      }
      if (position >= count || position <= (positions.at(-1) ?? -1)) return undefined;
      positions.push(position);
    }
    if (!stream?.isAtEnd()) return undefined;
  }
  return positions;
}
