import { CODED_FIELDS, type Coded, type Recipe, type Seal } from '../../core/recipe.js';
import { type ByteRange, rangeTensor, type TensorInfo, type TensorSource } from '../../core/tensor.js';
import { MlserError } from '../../errors.js';
import { crc32, crc32Combine } from '../../io/crc32.js';
import { sha256Hasher } from '../../io/hashing.js';
import { type ByteSource, locate } from '../../io/source.js';
import {
  damagedChunk,
  missingCodec,
  notOfCodec,
  sealedChunk,
  wrongResult,
} from '../../kernels/codecs/errors.js';
import { loadCodecs, RAW } from '../../kernels/codecs/index.js';
import { inOrder } from '../../kernels/jobs.js';
import { recentBytes } from '../../kernels/recent.js';
import { SLOT_BYTES } from '../../kernels/wasm.js';
import { chunksAhead, decodeElsewhere, decodeHere } from './codecs/parallel.js';
import { type Chunk, chunksOf, isContiguous, type Storage } from './layout.js';

/** A tensor whose canonical bytes lie in chunks, and what is needed to pull them. */
export interface Chunked {
  readonly info: TensorInfo;
  readonly storage: Storage;
  readonly source: ByteSource;
  readonly recordedSha256: string;
  /** What the chunks of a delta build on. */
  readonly base?: TensorSource;
  readonly seal?: Seal;
  /** Threads that may decode what is streamed. */
  readonly threads: number;
}

/**
 * A tensor whose canonical bytes lie in chunks. Every chunk that is read is compared with its CRC-32, what is made from
 * a base with the CRC-32 of the result, and all of them together with the SHA-256: E_INTEGRITY names tensor and chunk.
 * Workers can pull it by themselves where its bytes, and those of its base, lie in local files.
 */
export function chunkedTensor(tensor: Chunked): TensorSource {
  const { info, storage, source, recordedSha256, seal } = tensor;
  const { byteLength } = storage;
  const stream = (range: ByteRange = { start: 0, end: byteLength }): AsyncIterable<Uint8Array> => ({
    [Symbol.asyncIterator]: () => readRange(tensor, range),
  });
  if (byteLength === 0) return { info, byteLength, recordedSha256, stream };
  if (!isContiguous(storage) || seal) {
    const recipe = codedRecipe(tensor);
    return { info, byteLength, recordedSha256, ...(recipe ? { recipe } : {}), stream };
  }
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

/** How workers unfold the chunks; undefined where something lies in no local file, or chunks do not fit each other. */
function codedRecipe({ info, storage, source, base, seal }: Chunked): Recipe | undefined {
  const { source: file, offset } = locate(source, 0);
  const { path } = file;
  const { byteLength: length, chunkBytes, rawCrcs } = storage;
  if (path === undefined || file.derived || source.derived || chunkBytes > SLOT_BYTES) return undefined;
  const chunks = [...chunksOf(storage)];
  const table = new Float64Array(new SharedArrayBuffer(chunks.length * CODED_FIELDS * 8));
  chunks.forEach((chunk, i) => {
    const { stored, codec, crc32: crc } = chunk;
    table.set([offset + chunk.offset, stored, codec, crc, rawCrcs[i] ?? -1], i * CODED_FIELDS);
  });
  const below = baseOf(base, storage);
  if (base && !below) return undefined;
  const level = { path, table, ...(seal ? { seal } : {}) };
  const coded: Coded = {
    ...{ dtype: info.dtype, chunkBytes, length },
    levels: [...(below?.levels ?? []), level],
    ...(below?.base ? { base: below.base } : {}),
  };
  return { path, offset: 0, length, ops: [], coded };
}

function baseOf(
  base: TensorSource | undefined,
  { chunkBytes, byteLength }: Storage,
): Pick<Coded, 'levels' | 'base'> | undefined {
  const recipe = base?.recipe;
  if (!recipe || recipe.length !== byteLength) return undefined;
  const { coded, ops } = recipe;
  if (coded) return ops.length === 0 && coded.chunkBytes === chunkBytes ? coded : undefined;
  return ops.every(({ op }) => op === 'byteswap') ? { levels: [], base: recipe } : undefined;
}

async function* readRange(tensor: Chunked, { start, end }: ByteRange): AsyncGenerator<Uint8Array> {
  const { info, storage, source, recordedSha256, threads } = tensor;
  const hash = start === 0 && end === storage.byteLength ? sha256Hasher() : undefined;
  const chunks = chunksBetween(storage, start, end);
  const elsewhere = threads > 1 && (end - start) / storage.chunkBytes >= PARALLEL_CHUNKS;
  await loadCodecs();
  const read = async (chunk: Chunk): Promise<readonly [Chunk, Uint8Array]> => [
    chunk,
    await decode(tensor, chunk, elsewhere ? threads : 1),
  ];
  for await (const [chunk, raw] of inOrder(chunks, read, elsewhere ? chunksAhead(threads) : 1)) {
    hash?.update(raw);
    yield raw.subarray(Math.max(0, start - chunk.start), Math.min(chunk.length, end - chunk.start));
  }
  if (hash && hash.digest('hex') !== recordedSha256) throw wrongHash(source.name, info.name, recordedSha256);
}

const wrongHash = (file: string, tensor: string, recorded: string): MlserError =>
  new MlserError(
    'E_INTEGRITY',
    `${file}: tensor ${JSON.stringify(tensor)} does not match its SHA-256, though every chunk fits its CRC-32`,
    {
      details: { file, tensor, recorded },
      hint: 'the file was made wrongly or changed on purpose: get it again from where it was made',
    },
  );

/** Fewer are decoded here before a worker has started. */
const PARALLEL_CHUNKS = 4;

function* chunksBetween(storage: Storage, start: number, end: number): Generator<Chunk> {
  for (const chunk of chunksOf(storage)) {
    if (chunk.start >= end) break;
    if (chunk.start + chunk.length > start) yield chunk;
  }
}

/** Reads, checks and decodes one chunk; with more than one thread, in a worker. */
async function decode(tensor: Chunked, chunk: Chunk, threads: number): Promise<Uint8Array> {
  const { info, storage, source, seal, base } = tensor;
  const place = { file: source.name, tensor: info.name, chunk: chunk.index };
  const stored = await source.read(chunk.offset, chunk.stored);
  const { length, codec, index } = chunk;
  if (codec === RAW && !seal) {
    const sum = crc32(stored);
    if (sum !== chunk.crc32) throw damagedChunk(place, sum, chunk.crc32);
    return stored;
  }
  const known = (await loadCodecs()).get(codec);
  if (!known && codec !== RAW) throw missingCodec(source.name, info.name, codec);
  const below =
    known?.needsBase && base ? await recentBytes(base, chunk.start, chunk.start + chunk.length) : undefined;
  const job = {
    ...{ stored, codec, length, dtype: storage.dtype, index },
    ...(below ? { base: threads > 1 ? below.slice() : below } : {}), // what goes to a worker is gone here
    ...(seal ? { seal } : {}),
  };
  const found = await (threads > 1 ? decodeElsewhere(job, threads) : decodeHere(job));
  if (found.crc32 !== chunk.crc32) throw damagedChunk(place, found.crc32, chunk.crc32);
  if (!found.opened) throw sealedChunk(place);
  if (!found.raw) throw notOfCodec(place, codec, length);
  const expected = storage.rawCrcs[index];
  if (expected !== undefined && crc32(found.raw) !== expected) throw wrongResult(place);
  return found.raw;
}
