import type { DType } from '../../core/dtype.js';
import type { WriteContext } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';
import { MlserError } from '../../errors.js';
import { crc32 } from '../../io/crc32.js';
import { sha256Hasher } from '../../io/hashing.js';
import type { ByteSink } from '../../io/sink.js';
import { inOrder } from '../../kernels/jobs.js';
import { interrupted } from '../../kernels/messages.js';
import { type Placement, transfer } from '../../kernels/transfer.js';
import { type Encoded, encodeChunk } from './codecs/choose.js';
import { loadCodecs, RAW } from './codecs/index.js';
import { chunksAhead, encodeElsewhere } from './codecs/parallel.js';
import { alignUp, CHUNK_ALIGNMENT, chunkBytesFor, chunkStride, HEADER_BYTES, rawStart } from './layout.js';
import type { Stored } from './writer.js';

/** Stores tensors as they are: every place is known before a byte moves, so workers fill their own ranges. */
export async function storeRaw(
  tensors: readonly TensorSource[],
  sink: ByteSink,
  context: WriteContext,
): Promise<Stored[]> {
  let end = HEADER_BYTES;
  const placements = tensors.map((tensor): Placement & { readonly crcEvery: number } => {
    const offset = rawStart(end, tensor.byteLength);
    end = offset + tensor.byteLength;
    return { tensor: exact(tensor), sink, offset, sha256: true, crcEvery: chunkBytesFor(tensor.info.dtype) };
  });
  const placed = await transfer(placements, context);
  sink.extendTo(alignUp(end, CHUNK_ALIGNMENT));
  return placements.map(({ tensor: { byteLength }, offset, crcEvery }, i) => {
    const { sha256, crcs } = placed[i] ?? {};
    if (sha256 === undefined || crcs === undefined) throw new Error('transfer gave no checksums');
    const place = byteLength === 0 ? { offset: 0, chunkBytes: 0 } : { offset, chunkBytes: crcEvery };
    return { byteLength, sha256, sameBytesAs: undefined, ...place, crcs, codecs: [], storedLengths: [] };
  });
}

/** A model of fewer bytes is coded before workers have started. */
const PARALLEL_BYTES = 8 << 20;

/**
 * Stores tensors chunk by chunk in their shortest form; bytes that an earlier tensor has are stored once. Chunks are
 * coded in workers, a bounded number ahead, and written in their order: the same bytes at any number of threads.
 */
export async function storePacked(
  tensors: readonly TensorSource[],
  sink: ByteSink,
  context: WriteContext,
): Promise<Stored[]> {
  const total = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const threads = total < PARALLEL_BYTES ? 1 : context.threads;
  const encode = threads > 1 ? encodeIn(threads) : await encodeHere();
  const pieces = inOrder(piecesOf(tensors, context), encode, threads > 1 ? chunksAhead(threads) : 1);
  const seen = new Map<string, string>();
  const stored: Stored[] = [];
  let at = HEADER_BYTES;
  try {
    for (const tensor of tensors) {
      const { name, dtype } = tensor.info;
      const start = rawStart(at, tensor.byteLength); // it may turn out to be stored raw
      const { place, end } = await storeOne(tensor, pieces, sink, start, context);
      const key = `${place.sha256} ${dtype}`;
      const twin = seen.get(key);
      if (twin === undefined || place.byteLength === 0) {
        if (place.byteLength > 0) seen.set(key, name);
        stored.push(place);
        at = end;
      } else {
        sink.truncate?.(at); // the chunks just written are given up
        const { byteLength, sha256 } = place;
        const none = { offset: 0, chunkBytes: 0, crcs: [], codecs: [], storedLengths: [] };
        stored.push({ byteLength, sha256, sameBytesAs: twin, ...none });
      }
    }
  } finally {
    await pieces.return(undefined);
  }
  sink.extendTo(at);
  return stored;
}

/** A chunk of a tensor as it goes to be coded, or the end of a tensor. */
type Piece =
  | { readonly raw: Uint8Array; readonly dtype: DType }
  | { readonly raw: undefined; readonly sha256: string };

interface Coded extends Encoded {
  readonly crc32: number;
  /** Canonical bytes. */
  readonly length: number;
}

async function* piecesOf(tensors: readonly TensorSource[], context: WriteContext): AsyncGenerator<Piece> {
  for (const tensor of tensors) {
    const { dtype } = tensor.info;
    const hash = sha256Hasher();
    for await (const raw of rechunk(exact(tensor).stream(), chunkBytesFor(dtype))) {
      if (context.signal?.aborted) throw interrupted();
      hash.update(raw);
      yield { raw, dtype };
    }
    yield { raw: undefined, sha256: hash.digest('hex') };
  }
}

type Encode = (piece: Piece) => Promise<Coded | string>;

async function encodeHere(): Promise<Encode> {
  const codecs = await loadCodecs();
  return async (piece) => {
    if (!piece.raw) return piece.sha256;
    const encoded = encodeChunk(piece.raw, piece.dtype, codecs);
    return { ...encoded, crc32: crc32(encoded.bytes), length: piece.raw.byteLength };
  };
}

const encodeIn =
  (threads: number): Encode =>
  async (piece) => {
    if (!piece.raw) return piece.sha256;
    const length = piece.raw.byteLength; // moved away with the bytes
    return { ...(await encodeElsewhere(piece.raw, piece.dtype, threads)), length };
  };

/** Writes the coded chunks of one tensor, up to its end. */
async function storeOne(
  tensor: TensorSource,
  pieces: AsyncGenerator<Coded | string>,
  sink: ByteSink,
  start: number,
  context: WriteContext,
): Promise<{ place: Stored; end: number }> {
  const { byteLength } = tensor;
  const chunkBytes = chunkBytesFor(tensor.info.dtype);
  const found = { crcs: [] as number[], codecs: [] as number[], storedLengths: [] as number[] };
  let at = start;
  for (;;) {
    const { value, done } = await pieces.next();
    if (done) throw new Error('a tensor has no end');
    if (typeof value === 'string') {
      const allRaw = found.codecs.every((codec) => codec === RAW);
      const sums = allRaw ? { crcs: found.crcs, codecs: [], storedLengths: [] } : found;
      const where = byteLength === 0 ? { offset: 0, chunkBytes: 0 } : { offset: start, chunkBytes };
      return { place: { byteLength, sha256: value, sameBytesAs: undefined, ...where, ...sums }, end: at };
    }
    const { bytes, codec, length } = value;
    await sink.writeAt(at, bytes);
    found.crcs.push(value.crc32);
    found.codecs.push(codec);
    found.storedLengths.push(bytes.byteLength);
    at += chunkStride(bytes.byteLength, length);
    context.progress.advance(length);
  }
}

/**
 * The tensor, held to its promise: E_TRUNCATED if it gives more or fewer bytes than it said, before they are written
 * over what follows. (A range of a file, as a recipe is, has the length that it has.)
 */
function exact(tensor: TensorSource): TensorSource {
  const { info, byteLength, recipe } = tensor;
  if (recipe) return tensor;
  const wrong = (found: number): MlserError =>
    new MlserError(
      'E_TRUNCATED',
      `tensor ${JSON.stringify(info.name)} gave ${found} bytes instead of ${byteLength}`,
      { details: { tensor: info.name, needed: byteLength, found } },
    );
  return {
    ...tensor,
    async *stream(range) {
      let found = 0;
      for await (const chunk of tensor.stream(range)) {
        found += chunk.byteLength;
        if (found > byteLength) throw wrong(found);
        yield chunk;
      }
      if (range === undefined && found !== byteLength) throw wrong(found);
    },
  };
}

/** The same bytes in pieces of `length`; the last one is the rest. */
async function* rechunk(chunks: AsyncIterable<Uint8Array>, length: number): AsyncGenerator<Uint8Array> {
  let piece = new Uint8Array(length);
  let filled = 0;
  for await (const chunk of chunks)
    for (let from = 0; from < chunk.byteLength; ) {
      const part = chunk.subarray(from, from + length - filled);
      piece.set(part, filled);
      filled += part.byteLength;
      from += part.byteLength;
      if (filled < length) continue;
      yield piece;
      piece = new Uint8Array(length);
      filled = 0;
    }
  if (filled > 0) yield piece.subarray(0, filled);
}
