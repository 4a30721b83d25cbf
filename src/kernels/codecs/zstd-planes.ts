import type { Bench, ChunkShape } from './bench.js';
import type { Codec } from './codec.js';
import type { Zstd } from './zstd.js';

const RAW = 0;
const ZSTD = 1;
/** Method (u8) and stored length (u32) of a plane. */
const ENTRY_BYTES = 5;
const SPLIT = { 2: 'splitPlanes2', 4: 'splitPlanes4', 8: 'splitPlanes8' } as const;
const JOIN = { 2: 'joinPlanes2', 4: 'joinPlanes4', 8: 'joinPlanes8' } as const;

type PlaneWidth = 2 | 4 | 8;
const planeWidth = ({ width }: ChunkShape): PlaneWidth | undefined => (width === 1 ? undefined : width);

/** Byte planes, the highest first, each as zstd or raw: for planes in which bytes repeat in runs and patterns. */
export const zstdPlanes = (zstd: Zstd): Codec => ({
  id: 2,
  name: 'planes',
  needsBase: false,
  encode({ kernels, raw, stored, a }, shape, limit) {
    const width = planeWidth(shape);
    if (!width) return undefined;
    const { count } = shape;
    kernels[SPLIT[width]](raw.at, a.at, count);
    const parts: Uint8Array[] = [];
    const head = new DataView(new ArrayBuffer(width * ENTRY_BYTES));
    for (let entry = 0; entry < width; entry++) {
      const at = (width - 1 - entry) * count;
      const plane = a.bytes.subarray(at, at + count);
      const packed = zstd.compress(plane);
      const pays = packed.byteLength < plane.byteLength;
      const part = pays ? packed : plane;
      head.setUint8(entry * ENTRY_BYTES, pays ? ZSTD : RAW);
      head.setUint32(entry * ENTRY_BYTES + 1, part.byteLength, true);
      parts.push(part);
    }
    const packed = Buffer.concat([new Uint8Array(head.buffer), ...parts]);
    if (packed.byteLength >= limit) return undefined;
    stored.bytes.set(packed);
    return packed.byteLength;
  },
  decode(bench, shape, length) {
    const width = planeWidth(shape);
    if (!width || !loadPlanes(bench, shape, width, length, zstd)) return false;
    bench.kernels[JOIN[width]](bench.a.at, bench.raw.at, shape.count);
    return true;
  },
});

/** The planes into area `a`. */
function loadPlanes(
  { stored, a }: Bench,
  { count }: ChunkShape,
  width: PlaneWidth,
  length: number,
  zstd: Zstd,
): boolean {
  if (length < width * ENTRY_BYTES) return false;
  const bytes = stored.bytes.slice(0, length);
  const head = new DataView(bytes.buffer, 0, width * ENTRY_BYTES);
  let from = width * ENTRY_BYTES;
  for (let entry = 0; entry < width; entry++) {
    const method = head.getUint8(entry * ENTRY_BYTES);
    const size = head.getUint32(entry * ENTRY_BYTES + 1, true);
    if (size > length - from) return false;
    const part = bytes.subarray(from, from + size);
    const plane = method === ZSTD ? zstd.decompress(part, count) : method === RAW ? part : undefined;
    if (plane?.byteLength !== count) return false;
    a.bytes.set(plane, (width - 1 - entry) * count);
    from += size;
  }
  return from === length;
}
