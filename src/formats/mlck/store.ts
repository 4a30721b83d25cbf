import type { WriteContext } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';
import { MlserError } from '../../errors.js';
import { crc32 } from '../../io/crc32.js';
import { sha256Hasher } from '../../io/hashing.js';
import type { ByteSink } from '../../io/sink.js';
import { interrupted } from '../../kernels/messages.js';
import { type Placement, transfer } from '../../kernels/transfer.js';
import { encodeChunk } from './codecs/choose.js';
import { type Codec, loadCodecs, RAW } from './codecs/index.js';
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

/** Stores tensors chunk by chunk in their shortest form; bytes that an earlier tensor has are stored once. */
export async function storePacked(
  tensors: readonly TensorSource[],
  sink: ByteSink,
  context: WriteContext,
): Promise<Stored[]> {
  const codecs = await loadCodecs();
  const seen = new Map<string, string>();
  const stored: Stored[] = [];
  let at = HEADER_BYTES;
  for (const tensor of tensors) {
    const { name, dtype } = tensor.info;
    const start = rawStart(at, tensor.byteLength); // it may turn out to be stored raw
    const { place, end } = await storeOne(tensor, sink, start, codecs, context);
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
  sink.extendTo(at);
  return stored;
}

async function storeOne(
  tensor: TensorSource,
  sink: ByteSink,
  start: number,
  codecs: readonly Codec[],
  context: WriteContext,
): Promise<{ place: Stored; end: number }> {
  const { byteLength } = tensor;
  const { dtype } = tensor.info;
  const chunkBytes = chunkBytesFor(dtype);
  const hash = sha256Hasher();
  const found = { crcs: [] as number[], codecs: [] as number[], storedLengths: [] as number[] };
  let at = start;
  for await (const raw of rechunk(exact(tensor).stream(), chunkBytes)) {
    if (context.signal?.aborted) throw interrupted();
    hash.update(raw);
    const { codec, bytes: stored } = encodeChunk(raw, dtype, codecs);
    await sink.writeAt(at, stored);
    found.crcs.push(crc32(stored));
    found.codecs.push(codec);
    found.storedLengths.push(stored.byteLength);
    at += chunkStride(stored.byteLength, raw.byteLength);
    context.progress.advance(raw.byteLength);
  }
  const allRaw = found.codecs.every((codec) => codec === RAW);
  const sums = allRaw ? { crcs: found.crcs, codecs: [], storedLengths: [] } : found;
  const where = byteLength === 0 ? { offset: 0, chunkBytes: 0 } : { offset: start, chunkBytes };
  return {
    place: { byteLength, sha256: hash.digest('hex'), sameBytesAs: undefined, ...where, ...sums },
    end: at,
  };
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
