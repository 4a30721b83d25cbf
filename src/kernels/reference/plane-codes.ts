import { byteHistogram } from './bytes.js';
import { codeFor, codeLengths, loadCode, putSymbol, storeCode, takeSymbol } from './huffman.js';
import { BitWriter, joinBytes, joinStreams, quarters, splitStreams } from './streams.js';

/** A plane: its code, then four streams of a quarter of its bytes each. Undefined if all bytes are the same. */
export function encodePlane(plane: Uint8Array): Uint8Array | undefined {
  const counts = byteHistogram(plane);
  const code = codeFor(counts);
  if (code.symbols.size === 0) return undefined;
  const streams = quarters(plane.length).map(([from, end]) => {
    const stream = new BitWriter();
    for (const byte of plane.subarray(from, end)) putSymbol(stream, code, byte);
    return stream;
  });
  return joinBytes([storeCode(counts, code), joinStreams(streams)]);
}

/** The `n` bytes of a plane; undefined if these are none. */
export function decodePlane(bytes: Uint8Array, n: number): Uint8Array | undefined {
  const loaded = loadCode(bytes, 256);
  if (!loaded || loaded.code.only !== undefined) return undefined;
  const parts = splitStreams(bytes.subarray(loaded.taken));
  if (!parts) return undefined;
  const plane = new Uint8Array(n);
  for (const [q, [from, end]] of quarters(n).entries()) {
    const stream = parts.streams[q];
    for (let i = from; i < end; i++) {
      const byte = stream && takeSymbol(stream, loaded.code);
      if (byte === undefined) return undefined;
      plane[i] = byte;
    }
    if (!stream?.isAtEnd()) return undefined;
  }
  return plane;
}

/** What a byte takes by a sample (every 16th block of 256 bytes of a large plane), in 1/256 of a bit. */
export function samplePlane(plane: Uint8Array): number {
  const counts = new Uint32Array(256);
  let seen = 0;
  for (let from = 0; from < plane.length; from += plane.length > 65536 ? 4096 : 256)
    for (const byte of plane.subarray(from, from + 256)) {
      counts[byte] = (counts[byte] ?? 0) + 1;
      seen++;
    }
  const lengths = codeLengths(counts);
  const bits = counts.reduce((sum, count, symbol) => sum + count * (lengths[symbol] ?? 0), 0);
  return bits === 0 ? 0 : Math.floor((bits * 256) / seen);
}
