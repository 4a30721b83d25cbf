import type { ByteRange, TensorSource } from '../../../core/tensor.js';
import { type MlserError, malformed } from '../../../errors.js';
import { unpack, unpackedLength } from './zstd.js';

/** Bytes of a position, and of the number of positions. */
export const POSITION_BYTES = 4;

/** The base's bytes, each changed by the bits of the difference. */
export async function* xorStream(
  base: TensorSource,
  blob: TensorSource,
  range: ByteRange,
): AsyncGenerator<Uint8Array> {
  const difference = await unpack(blob, base.byteLength);
  let at = range.start;
  for await (const old of base.stream(range)) {
    const chunk = new Uint8Array(old); // it may be a view of what others read too
    xorInto(chunk, difference.subarray(at, at + chunk.byteLength));
    at += chunk.byteLength;
    yield chunk;
  }
}

/** target ^= source, four bytes at a time where both lie on words. */
export function xorInto(target: Uint8Array, source: Uint8Array): void {
  let at = 0;
  if (target.byteOffset % 4 === 0 && source.byteOffset % 4 === 0) {
    const count = Math.floor(target.length / 4);
    const to = new Uint32Array(target.buffer, target.byteOffset, count);
    const from = new Uint32Array(source.buffer, source.byteOffset, count);
    for (let i = 0; i < count; i++) to[i] = (to[i] ?? 0) ^ (from[i] ?? 0);
    at = count * 4;
  }
  for (; at < target.length; at++) target[at] = (target[at] ?? 0) ^ (source[at] ?? 0);
}

/** Whether the unpacked difference can be one of a tensor of so many bytes. */
export const fits = {
  xor: (length: number, byteLength: number): boolean => length === byteLength,
  overwrite: (length: number, byteLength: number): boolean => {
    const count = (length - POSITION_BYTES) / (POSITION_BYTES + 1);
    return Number.isInteger(count) && count >= 0 && count <= byteLength;
  },
};

/** The base's bytes with new ones at some positions: a count, the positions in ascending order, the bytes. */
export async function* overwriteStream(
  base: TensorSource,
  blob: TensorSource,
  range: ByteRange,
): AsyncGenerator<Uint8Array> {
  const bytes = await unpack(blob, await unpackedLength(blob));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = view.getUint32(0, true);
  checkPositions(base, view, count);
  const position = (i: number): number =>
    i < count ? view.getUint32(POSITION_BYTES * (i + 1), true) : Number.POSITIVE_INFINITY;
  const values = bytes.subarray(POSITION_BYTES * (count + 1));
  let next = firstFrom(range.start, count, position);
  let at = range.start;
  for await (const old of base.stream(range)) {
    const chunk = new Uint8Array(old);
    const end = at + chunk.byteLength;
    for (let place = position(next); place < end; place = position(++next))
      chunk[place - at] = values[next] ?? 0;
    at = end;
    yield chunk;
  }
}

function checkPositions({ info, byteLength }: TensorSource, view: DataView, count: number): void {
  const { name } = info;
  const bad = (what: string): MlserError =>
    malformed(`the delta of tensor ${JSON.stringify(name)} ${what}`, { tensor: name });
  const needed = POSITION_BYTES * (count + 1) + count;
  if (view.byteLength !== needed)
    throw bad(`has ${view.byteLength} bytes, where ${count} positions need ${needed}`);
  let last = -1;
  for (let i = 1; i <= count; i++) {
    const position = view.getUint32(POSITION_BYTES * i, true);
    if (position >= byteLength) throw bad(`changes byte ${position} of ${byteLength}`);
    if (position <= last)
      throw bad(`names position ${position} ${position === last ? 'twice' : 'out of order'}`);
    last = position;
  }
}

/** The first entry at or after `start`. */
function firstFrom(start: number, count: number, position: (i: number) => number): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (position(middle) < start) low = middle + 1;
    else high = middle;
  }
  return low;
}
