import { LIMITS } from '../../../core/limits.js';
import { readTensor, type TensorSource } from '../../../core/tensor.js';
import { MlserError, malformed } from '../../../errors.js';
import { loadZstd } from '../../../kernels/codecs/zstd.js';

const MAGIC = 0xfd2fb528;
/** Of the longest frame header (RFC 8878, 3.1.1). */
const HEADER_BYTES = 18;

/** What a zstd frame says of its content: bytes, or undefined where it does not. Undefined too if it is no frame. */
function contentSize(head: Uint8Array): number | undefined {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (head.byteLength < 6 || view.getUint32(0, true) !== MAGIC) return undefined;
  const descriptor = view.getUint8(4);
  const single = (descriptor & 0x20) !== 0;
  const at = 5 + (single ? 0 : 1) + ([0, 1, 2, 4][descriptor & 3] ?? 0);
  const bytes = [single ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  if (bytes === 0 || at + bytes > head.byteLength) return undefined;
  if (bytes === 1) return view.getUint8(at);
  if (bytes === 2) return view.getUint16(at, true) + 256;
  if (bytes === 4) return view.getUint32(at, true);
  return Number(view.getBigUint64(at, true));
}

const bad = ({ info }: TensorSource, what: string): MlserError =>
  malformed(`the delta of tensor ${JSON.stringify(info.name)} ${what}`, { tensor: info.name });

/** Bytes that a tensor which is one zstd frame unpacks to, as the frame says: it must. Reads a few bytes. */
export async function unpackedLength(blob: TensorSource): Promise<number> {
  const length = contentSize(await readTensor(part(blob, Math.min(HEADER_BYTES, blob.byteLength))));
  if (length === undefined) throw bad(blob, 'is no zstd frame that says its length');
  return length;
}

/** All of the content, of one tensor at a time. `length` has been checked, and is what is allocated. */
export async function unpack(blob: TensorSource, length: number): Promise<Uint8Array> {
  refuseLarge(blob.info.name, length, blob.byteLength);
  const zstd = await loadZstd();
  const bytes = zstd.decompress(await readTensor(blob), length);
  if (bytes === undefined) throw bad(blob, `is no zstd frame of ${length} bytes`);
  return bytes;
}

const part = (blob: TensorSource, end: number): TensorSource => ({
  ...blob,
  byteLength: end,
  stream: () => blob.stream({ start: 0, end }),
});

/** One frame, level 1. `refuseLarge` comes first, before the bytes are there. */
export const pack = async (bytes: Uint8Array): Promise<Uint8Array> => (await loadZstd()).compress(bytes);

/** No frame of so many bytes is longer. */
export const packedBound = (length: number): number => length + Math.floor(length / 256) + 512;

/** @throws E_LIMIT if one tensor needs more memory than we give it. */
export function refuseLarge(tensor: string, length: number, packed = packedBound(length)): void {
  const limit = LIMITS.DELTA_ZSTD_BYTES;
  if (length + packed <= limit) return;
  throw new MlserError(
    'E_LIMIT',
    `the delta of tensor ${JSON.stringify(tensor)} needs ${length} bytes and up to ${packed} packed: more than ${limit} (limit DELTA_ZSTD_BYTES)`,
    {
      details: { tensor, length, packed, limit: 'DELTA_ZSTD_BYTES' },
      hint: 'use --dialect native, whose tensors are packed in chunks',
    },
  );
}
