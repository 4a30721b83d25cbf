import { type ByteRange, rangeTensor, type TensorInfo, type TensorSource } from '../../core/tensor.js';
import { MlserError, malformed } from '../../errors.js';
import { crc32, crc32Combine, crcHex } from '../../io/crc32.js';
import { sha256Hasher } from '../../io/hashing.js';
import type { ByteSource } from '../../io/source.js';
import { type Codec, loadCodec, RAW } from './codecs/index.js';
import { type Chunk, chunksOf, isContiguous, type Storage } from './layout.js';

/**
 * A tensor whose canonical bytes lie in chunks. Every chunk that is read is compared with its CRC-32, and all of
 * them together with the SHA-256: E_INTEGRITY names tensor and chunk. Tensors stored raw can be pulled by workers.
 */
export function chunkedTensor(
  info: TensorInfo,
  storage: Storage,
  source: ByteSource,
  recordedSha256: string,
): TensorSource {
  const { byteLength } = storage;
  const stream = (range: ByteRange = { start: 0, end: byteLength }): AsyncIterable<Uint8Array> => ({
    [Symbol.asyncIterator]: () => readRange(info, storage, source, range, recordedSha256),
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
): AsyncGenerator<Uint8Array> {
  const hash = start === 0 && end === storage.byteLength ? sha256Hasher() : undefined;
  const codecs = new Map<number, Codec>();
  for (const chunk of chunksOf(storage)) {
    if (chunk.start + chunk.length <= start) continue;
    if (chunk.start >= end) break;
    const raw = await readChunk(info, storage, source, chunk, codecs);
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

async function readChunk(
  info: TensorInfo,
  storage: Storage,
  source: ByteSource,
  chunk: Chunk,
  codecs: Map<number, Codec>,
): Promise<Uint8Array> {
  const stored = await source.read(chunk.offset, chunk.stored);
  const found = crc32(stored);
  if (found !== chunk.crc32)
    throw new MlserError(
      'E_INTEGRITY',
      `${source.name}: chunk ${chunk.index} of tensor ${JSON.stringify(info.name)} is damaged (CRC-32 ${crcHex(found)}, recorded ${crcHex(chunk.crc32)})`,
      {
        details: { file: source.name, tensor: info.name, chunk: chunk.index, offset: chunk.offset },
        hint: 'the file was damaged after it was written: download or copy it again',
      },
    );
  if (chunk.codec === RAW) return stored;
  let codec = codecs.get(chunk.codec);
  if (!codec) {
    codec = await requireCodec(chunk.codec, source.name, info.name);
    codecs.set(chunk.codec, codec);
  }
  const raw = codec.decode(stored, chunk.length, storage.dtype);
  if (raw) return raw;
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
