import { type ByteRange, rangeTensor, type TensorInfo, type TensorSource } from '../../core/tensor.js';
import { MlserError, malformed } from '../../errors.js';
import { crc32, crc32Combine, crcHex } from '../../io/crc32.js';
import { sha256Hasher } from '../../io/hashing.js';
import type { ByteSource } from '../../io/source.js';
import { inOrder } from '../../kernels/jobs.js';
import { type Codec, loadCodec, RAW } from './codecs/index.js';
import { chunksAhead, decodeElsewhere } from './codecs/parallel.js';
import { type Chunk, chunksOf, isContiguous, type Storage } from './layout.js';

/**
 * A tensor whose canonical bytes lie in chunks. Every chunk that is read is compared with its CRC-32, and all of
 * them together with the SHA-256: E_INTEGRITY names tensor and chunk. Tensors stored raw can be pulled by workers;
 * chunks of the others are decoded in up to `threads` of them, a bounded number ahead.
 */
export function chunkedTensor(
  info: TensorInfo,
  storage: Storage,
  source: ByteSource,
  recordedSha256: string,
  threads = 1,
): TensorSource {
  const { byteLength } = storage;
  const stream = (range: ByteRange = { start: 0, end: byteLength }): AsyncIterable<Uint8Array> => ({
    [Symbol.asyncIterator]: () => readRange(info, storage, source, range, recordedSha256, threads),
  });
  if (byteLength === 0 || !isContiguous(storage)) return { info, byteLength, recordedSha256, stream };
  const whole = { seed: 0, expect: wholeCrc(storage) };
  return {
    ...rangeTensor(info, source, storage.offset, { byteLength, recordedSha256, crc32: whole }),
    stream,
  };
}

function wholeCrc(storage: Storage): number {
  let crc = 0;
  for (const chunk of chunksOf(storage)) crc = crc32Combine(crc, chunk.crc32, chunk.length);
  return crc;
}

async function* readRange(
  info: TensorInfo,
  storage: Storage,
  source: ByteSource,
  { start, end }: ByteRange,
  recordedSha256: string,
  threads: number,
): AsyncGenerator<Uint8Array> {
  const hash = start === 0 && end === storage.byteLength ? sha256Hasher() : undefined;
  const decode = decoder(info, storage, source);
  const chunks = chunksBetween(storage, start, end);
  const elsewhere = threads > 1 && (end - start) / storage.chunkBytes >= PARALLEL_CHUNKS;
  const read = async (chunk: Chunk): Promise<readonly [Chunk, Uint8Array]> => [
    chunk,
    await decode(chunk, elsewhere ? threads : 1),
  ];
  for await (const [chunk, raw] of inOrder(chunks, read, elsewhere ? chunksAhead(threads) : 1)) {
    hash?.update(raw);
    yield raw.subarray(Math.max(0, start - chunk.start), Math.min(chunk.length, end - chunk.start));
  }
  if (hash && hash.digest('hex') !== recordedSha256)
    throw new MlserError(
      'E_INTEGRITY',
      `${source.name}: tensor ${JSON.stringify(info.name)} does not match its SHA-256, though every chunk fits its CRC-32`,
      {
        details: { file: source.name, tensor: info.name, recorded: recordedSha256 },
        hint: 'the file was made wrongly or changed on purpose: get it again from where it was made',
      },
    );
}

/** Fewer are decoded here before a worker has started. */
const PARALLEL_CHUNKS = 4;

function* chunksBetween(storage: Storage, start: number, end: number): Generator<Chunk> {
  for (const chunk of chunksOf(storage)) {
    if (chunk.start >= end) break;
    if (chunk.start + chunk.length > start) yield chunk;
  }
}

/** Reads, checks and decodes chunks of one tensor; with more than one thread, in workers. */
function decoder(
  info: TensorInfo,
  storage: Storage,
  source: ByteSource,
): (chunk: Chunk, threads: number) => Promise<Uint8Array> {
  const codecs = new Map<number, Codec>();
  const codecOf = async (id: number): Promise<Codec> => {
    const codec = codecs.get(id) ?? (await requireCodec(id, source.name, info.name));
    codecs.set(id, codec);
    return codec;
  };
  return async (chunk, threads) => {
    const stored = await source.read(chunk.offset, chunk.stored);
    const { length, codec: id } = chunk;
    if (id === RAW || threads <= 1) {
      checkSum(info, source, chunk, crc32(stored));
      if (id === RAW) return stored;
      const codec = await codecOf(id);
      return codec.decode(stored, length, storage.dtype) ?? refuse(info, source, chunk, codec);
    }
    const codec = await codecOf(id);
    const found = await decodeElsewhere(stored, id, length, storage.dtype, threads);
    checkSum(info, source, chunk, found.crc32);
    return found.raw ?? refuse(info, source, chunk, codec);
  };
}

function checkSum(info: TensorInfo, source: ByteSource, chunk: Chunk, found: number): void {
  if (found === chunk.crc32) return;
  throw new MlserError(
    'E_INTEGRITY',
    `${source.name}: chunk ${chunk.index} of tensor ${JSON.stringify(info.name)} is damaged (CRC-32 ${crcHex(found)}, recorded ${crcHex(chunk.crc32)})`,
    {
      details: { file: source.name, tensor: info.name, chunk: chunk.index, offset: chunk.offset },
      hint: 'the file was damaged after it was written: download or copy it again',
    },
  );
}

function refuse(info: TensorInfo, source: ByteSource, chunk: Chunk, codec: Codec): never {
  throw malformed(
    `${source.name}: chunk ${chunk.index} of tensor ${JSON.stringify(info.name)} is no ${codec.name} of ${chunk.length} bytes`,
    { file: source.name, tensor: info.name, chunk: chunk.index, offset: chunk.offset },
  );
}

async function requireCodec(id: number, file: string, tensor: string): Promise<Codec> {
  const codec = await loadCodec(id);
  if (codec) return codec;
  throw new MlserError(
    'E_UNSUPPORTED',
    `${file}: tensor ${JSON.stringify(tensor)} is stored with codec ${id}, which this mlser lacks`,
    { details: { file, tensor, codec: id }, hint: 'use a newer mlser' },
  );
}
