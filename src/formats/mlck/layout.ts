import { type DType, dtypeFacts } from '../../core/dtype.js';
import { malformed } from '../../errors.js';

/** The format that this version writes. Same major: readable. */
export const FORMAT_MAJOR = 1;
export const FORMAT_MINOR = 1;
/** Footer features: what a reader must know to understand the file. */
export const FEATURE_ENCRYPTED = 1;
export const FEATURE_DELTA = 2;
/** Only with FEATURE_DELTA: tensors build on predictions. */
export const FEATURE_PREDICTED = 4;
const KNOWN_FEATURES = FEATURE_ENCRYPTED | FEATURE_DELTA | FEATURE_PREDICTED;
export const unknownFeatures = (features: number): number => (features & ~KNOWN_FEATURES) >>> 0;

/** `\x89MLCK\r\n\x1a`: not text, and damaged by anything that changes line ends or the eighth bit. */
export const MAGIC = Uint8Array.of(0x89, 0x4d, 0x4c, 0x43, 0x4b, 0x0d, 0x0a, 0x1a);
export const HEADER_BYTES = 64;
export const FOOTER_BYTES = 64;

/** Of an encrypted chunk (AES-256-GCM). */
export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;

/** Every chunk starts at a multiple of this. */
export const CHUNK_ALIGNMENT = 64;
/** Raw tensors of this size start at a multiple of a memory page, so that they can be mapped. */
export const MAPPED_BYTES = 1 << 20;
export const PAGE = 4096;

/** Canonical bytes in a chunk that we write; readers take up to MAX_CHUNK_BYTES. */
const CHUNK_BYTES = 1 << 20;
export const MAX_CHUNK_BYTES = 4 << 20;
/** A chunk occupies at least this share of its canonical length: bounds what a small file can unfold to. */
const MAX_EXPANSION = 1024;

export const isDamagedMagic = (head: Uint8Array): boolean =>
  MAGIC.some((byte, i) => head[i] !== byte) || head.byteLength < MAGIC.byteLength;

export const alignUp = (value: number, alignment: number): number => Math.ceil(value / alignment) * alignment;

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

/** The fewest bytes that hold whole elements (or blocks): chunks end at a multiple of it. */
export function unitBytes(dtype: DType): number {
  const { bits } = dtypeFacts(dtype);
  return bits === 0 ? 1 : bits / gcd(bits, 8);
}

/** Canonical bytes in every chunk of a tensor but the last: whole elements, and a multiple of the alignment. */
export function chunkBytesFor(dtype: DType): number {
  const unit = unitBytes(dtype);
  const step = (unit * CHUNK_ALIGNMENT) / gcd(unit, CHUNK_ALIGNMENT);
  return Math.floor(CHUNK_BYTES / step) * step;
}

export const isChunkBytes = (bytes: number, dtype: DType): boolean =>
  bytes > 0 && bytes <= MAX_CHUNK_BYTES && bytes % CHUNK_ALIGNMENT === 0 && bytes % unitBytes(dtype) === 0;

/** Where a tensor starts that is stored raw. */
export const rawStart = (at: number, byteLength: number): number =>
  alignUp(at, byteLength >= MAPPED_BYTES ? PAGE : CHUNK_ALIGNMENT);

/** Bytes from the start of a chunk to the earliest start of the next one. */
export const chunkStride = (stored: number, raw: number): number =>
  alignUp(Math.max(stored, Math.ceil(raw / MAX_EXPANSION)), CHUNK_ALIGNMENT);

/** One tensor's place in the file: chunks lie one after the other, each at the next possible place. */
export interface Storage {
  readonly byteLength: number;
  readonly dtype: DType;
  readonly offset: number;
  readonly chunkBytes: number;
  /** CRC-32 of the stored bytes, one a chunk. */
  readonly crcs: readonly number[];
  /** CRC-32 of the canonical bytes, one a chunk, or none. */
  readonly rawCrcs: readonly number[];
  /** undefined: all raw. */
  readonly packed: { readonly codecs: readonly number[]; readonly lengths: readonly number[] } | undefined;
}

export const chunkCount = ({ byteLength, chunkBytes }: Pick<Storage, 'byteLength' | 'chunkBytes'>): number =>
  byteLength === 0 ? 0 : Math.ceil(byteLength / chunkBytes);

export interface Chunk {
  readonly index: number;
  readonly offset: number;
  readonly stored: number;
  /** Position and length in the canonical bytes. */
  readonly start: number;
  readonly length: number;
  readonly codec: number;
  readonly crc32: number;
}

/** The chunks of a tensor in order. */
export function* chunksOf(storage: Storage): Generator<Chunk> {
  const { byteLength, chunkBytes, crcs, packed } = storage;
  let offset = storage.offset;
  const count = chunkCount(storage);
  for (let index = 0; index < count; index++) {
    const start = index * chunkBytes;
    const length = Math.min(chunkBytes, byteLength - start);
    const stored = packed?.lengths[index] ?? length;
    yield {
      index,
      offset,
      stored,
      start,
      length,
      codec: packed?.codecs[index] ?? 0,
      crc32: crcs[index] ?? 0,
    };
    offset += chunkStride(stored, length);
  }
}

/** First byte after the last chunk. */
export function storageEnd(storage: Storage): number {
  if (!storage.packed) return storage.offset + storage.byteLength;
  let end = storage.offset;
  for (const chunk of chunksOf(storage)) end = chunk.offset + chunkStride(chunk.stored, chunk.length);
  return end;
}

/** True if the canonical bytes lie in the file as they are, in one piece. */
export const isContiguous = ({ packed }: Storage): boolean =>
  packed === undefined || packed.codecs.every((codec) => codec === 0);

/** E_MALFORMED unless the declared storage can be one: counts first, so that nothing is walked that is not there. */
export function checkStorage(storage: Storage, end: number, file: string, name: string): void {
  const bad = (why: string): Error =>
    malformed(`${file}: tensor ${JSON.stringify(name)} ${why}`, { file, tensor: name });
  const { byteLength, chunkBytes, crcs, rawCrcs, packed, offset, dtype } = storage;
  if (byteLength === 0) {
    if (crcs.length > 0 || packed) throw bad('has no bytes, but chunks');
    return;
  }
  if (!isChunkBytes(chunkBytes, dtype))
    throw bad(`has a chunk length of ${chunkBytes}, which ${dtype} cannot have`);
  const count = chunkCount(storage);
  if (rawCrcs.length > 0 && rawCrcs.length !== count)
    throw bad(`has ${rawCrcs.length} sums of results, but ${count} chunks`);
  if (crcs.length !== count) throw bad(`has ${crcs.length} chunk sums, but ${count} chunks`);
  if (packed && (packed.codecs.length !== count || packed.lengths.length !== count))
    throw bad(`has ${packed.codecs.length} codecs and ${packed.lengths.length} lengths for ${count} chunks`);
  if (offset < HEADER_BYTES || offset % CHUNK_ALIGNMENT !== 0)
    throw bad(`starts at ${offset}, which is not a multiple of ${CHUNK_ALIGNMENT} after the header`);
  for (const chunk of chunksOf(storage)) {
    if (chunk.codec === 0 ? chunk.stored !== chunk.length : chunk.stored < 1 || chunk.stored > chunk.length)
      throw bad(`stores ${chunk.stored} bytes for chunk ${chunk.index} of ${chunk.length}`);
    if (chunk.offset + chunk.stored > end)
      throw bad(`reaches past the data, which end at byte ${end} (chunk ${chunk.index})`);
  }
}
