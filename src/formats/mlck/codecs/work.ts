import { crc32 } from '../../../io/crc32.js';
import { arenaCrc32 } from '../../../kernels/arena-crc.js';
import { BlockReader } from '../../../kernels/block-reader.js';
import { ownBenches, shapeOf } from '../../../kernels/codecs/bench.js';
import { encodeChunk } from '../../../kernels/codecs/choose.js';
import { decodeChunk } from '../../../kernels/codecs/decode.js';
import { type Codecs, loadCodecs, RAW } from '../../../kernels/codecs/index.js';
import { encodeLossy } from '../../../kernels/codecs/lossy.js';
import { unseal } from '../../../kernels/codecs/seal.js';
import { Workplace } from '../../../kernels/workplace.js';
import { sealWith } from '../seal.js';
import type { DecodeDone, DecodeJob, EncodeDone, EncodedChunk, EncodeJob, Part } from './parallel.js';

let place: Workplace | undefined;
/** Readers of the tensors that were coded last: the next job is mostly of the same one. */
const readers = new Map<string, BlockReader>();

let owner: number | undefined;

/** Closes all files, and forgets what was read of them. */
export function release(): void {
  readers.clear();
  place?.close();
}

function readerOf(part: Extract<Part, { program: unknown }>, slots: readonly [number, number]): BlockReader {
  const key = `${slots[0]} ${part.program.tensor} ${part.program.path} ${part.program.offset}`;
  const known = readers.get(key);
  if (known) return known;
  if (readers.size > 8) readers.clear();
  place ??= new Workplace();
  const reader = new BlockReader(part.program, place, slots);
  readers.set(key, reader);
  return reader;
}

/** Canonical bytes [from, from + length) of a part into `target`. */
function pull(
  part: Part,
  from: number,
  length: number,
  target: Uint8Array,
  slots: readonly [number, number],
): void {
  if ('bytes' in part) {
    target.set(part.bytes.subarray(from, from + length));
    return;
  }
  const reader = readerOf(part, slots);
  const { pipeline } = reader;
  const elements = (bytes: number): number => Math.floor((bytes * 8) / pipeline.outBits);
  const start = elements(part.start + from);
  const end = Math.min(part.program.count, elements(part.start + from + length + 7));
  let done = 0;
  for (let at = start; at < end && done < length; at += pipeline.blockElements) {
    const until = Math.min(end, at + pipeline.blockElements);
    const bytes = Math.min(pipeline.outBytes(at, until), length - done);
    target.set(reader.read(at, until).bytes.subarray(0, bytes), done);
    done += bytes;
  }
}

const buffers = [new Uint8Array(), new Uint8Array(), new Uint8Array()];

function scratch(index: 0 | 1 | 2, length: number): Uint8Array {
  const known = buffers[index];
  if (known && known.length >= length) return known.subarray(0, length);
  const fresh = new Uint8Array(length);
  buffers[index] = fresh;
  return fresh;
}

const isCoded = (part: Part): boolean => 'program' in part && part.program.coded !== undefined;

const lengthOf = (part: Part): number => ('bytes' in part ? part.bytes.byteLength : part.length);

/** Codes the chunks of a job on this thread. */
export async function encodeJob(job: EncodeJob): Promise<EncodeDone> {
  const codecs = await loadCodecs();
  const [bench] = ownBenches();
  const { dtype, chunkBytes, raw, base, before, choice, lossy, seal } = job;
  if (job.owner !== owner) release();
  owner = job.owner;
  const total = lengthOf(raw);
  const chunks: EncodedChunk[] = [];
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for (let from = 0, index = job.index; from < total; from += chunkBytes, index++) {
    const length = Math.min(chunkBytes, total - from);
    // What is coded itself is decoded on the bench: first that, aside, then what can be put where it is wanted.
    const next = isCoded(raw) ? scratch(0, length) : undefined;
    const below = base && isCoded(base) ? scratch(1, length) : undefined;
    const old = before && scratch(2, length);
    if (before && old) pull(before, from, length, old, [2, 3]);
    if (next) pull(raw, from, length, next, [0, 1]);
    if (base && below) pull(base, from, length, below, [2, 3]);
    if (next) bench.raw.bytes.set(next);
    else pull(raw, from, length, bench.raw.bytes, [0, 1]);
    if (below) bench.base.bytes.set(below);
    else if (base) pull(base, from, length, bench.base.bytes, [2, 3]);
    const encoded = lossy
      ? encodeLossy(bench, dtype, length, lossy, codecs)
      : encodeChunk(bench, dtype, length, base !== undefined, codecs, choice);
    const rawCrc = arenaCrc32(bench.raw.bytes.subarray(0, length));
    const sealed = seal && sealWith(seal, index, encoded.bytes);
    const bytes = sealed?.bytes ?? encoded.bytes.slice();
    const { codec } = encoded;
    const { width, count } = shapeOf(dtype, length);
    if (old) bench.base.bytes.set(old);
    const changed = old
      ? bench.kernels.countDiffering(bench.raw.at, bench.base.at, count, width)
      : encoded.changed;
    const sums = {
      codec,
      changed: changed * width,
      stored: bytes.byteLength,
      length,
      crc32: sealed ? crc32(bytes) : arenaCrc32(encoded.bytes),
      rawCrc,
    };
    chunks.push(sealed ? { ...sums, nonce: sealed.nonce, tag: sealed.tag } : sums);
    parts.push(bytes);
  }
  const [only] = parts;
  const bytes = parts.length === 1 && only ? only : new Uint8Array(Buffer.concat(parts));
  return { op: 'encode', chunks, bytes };
}

/** Decodes a chunk on this thread. */
export async function decodeJob(job: DecodeJob): Promise<DecodeDone> {
  const codecs: Codecs = await loadCodecs();
  const { stored, codec, length, dtype, base, seal, index } = job;
  const sum = crc32(stored);
  const plain = seal ? stored.slice() : stored;
  if (seal && !unseal(seal, index, plain)) return { op: 'decode', raw: undefined, crc32: sum, opened: false };
  if (codec === RAW)
    return {
      op: 'decode',
      raw: plain.length === length ? plain.slice() : undefined,
      crc32: sum,
      opened: true,
    };
  const [bench] = ownBenches();
  bench.stored.bytes.set(plain);
  if (base) bench.base.bytes.set(base);
  const fine = decodeChunk(bench, codecs, { codec, stored: plain.length, length, dtype });
  const raw = fine ? bench.raw.bytes.slice(0, length) : undefined;
  return { op: 'decode', raw, crc32: sum, opened: true };
}
