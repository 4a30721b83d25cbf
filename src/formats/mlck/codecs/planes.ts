import { type DType, dtypeFacts } from '../../../core/dtype.js';
import { joinPlanes, type PlaneWidth, splitPlanes } from '../../../kernels/planes.js';
import type { Codec } from './codec.js';
import type { Zstd } from './zstd.js';

const RAW = 0;
const ZSTD = 1;
/** Method (u8) and stored length (u32) of a plane. */
const ENTRY_BYTES = 5;

/** Bytes of an element that is taken apart; undefined where elements are bytes or blocks. */
export function planeWidth(dtype: DType): PlaneWidth | undefined {
  const { kind, bits } = dtypeFacts(dtype);
  if (kind === 'string' || kind === 'block') return undefined;
  const width = kind === 'complex' ? bits / 16 : bits / 8; // a complex number is two floats
  return width === 2 || width === 4 || width === 8 ? width : undefined;
}

let scratch = new Uint8Array();

/** Room for the planes of a chunk that is being put together; the next chunk takes it again. */
function room(length: number): Uint8Array {
  if (scratch.byteLength < length) scratch = new Uint8Array(length);
  return scratch.subarray(0, length);
}

/** Byte planes, the highest first, each as zstd or raw: exponents shrink to a third, mantissas are noise. */
export const planesCodec = (zstd: Zstd): Codec => ({
  id: 2,
  name: 'planes',
  encode(raw, dtype) {
    const width = planeWidth(dtype);
    if (!width) return undefined;
    const count = raw.byteLength / width;
    const split = splitPlanes(raw, width);
    const parts: Uint8Array[] = [];
    const head = new DataView(new ArrayBuffer(width * ENTRY_BYTES));
    for (let entry = 0; entry < width; entry++) {
      const at = (width - 1 - entry) * count;
      const plane = split.subarray(at, at + count);
      const packed = zstd.compress(plane);
      const pays = packed.byteLength < plane.byteLength;
      const part = pays ? packed : plane;
      head.setUint8(entry * ENTRY_BYTES, pays ? ZSTD : RAW);
      head.setUint32(entry * ENTRY_BYTES + 1, part.byteLength, true);
      parts.push(part);
    }
    const stored = Buffer.concat([new Uint8Array(head.buffer), ...parts]);
    return stored.byteLength < raw.byteLength ? stored : undefined;
  },
  decode(stored, length, dtype) {
    const width = planeWidth(dtype);
    if (!width) return undefined;
    if (length % width !== 0 || stored.byteLength < width * ENTRY_BYTES) return undefined;
    const count = length / width;
    const head = new DataView(stored.buffer, stored.byteOffset, width * ENTRY_BYTES);
    const planes = room(length);
    let from = width * ENTRY_BYTES;
    for (let entry = 0; entry < width; entry++) {
      const method = head.getUint8(entry * ENTRY_BYTES);
      const bytes = head.getUint32(entry * ENTRY_BYTES + 1, true);
      if (bytes > stored.byteLength - from) return undefined;
      const part = stored.subarray(from, from + bytes);
      const plane = method === ZSTD ? zstd.decompress(part, count) : method === RAW ? part : undefined;
      if (plane?.byteLength !== count) return undefined;
      planes.set(plane, (width - 1 - entry) * count);
      from += bytes;
    }
    return from === stored.byteLength ? joinPlanes(planes, width) : undefined;
  },
});
