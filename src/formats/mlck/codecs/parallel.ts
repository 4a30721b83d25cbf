import type { DType } from '../../../core/dtype.js';
import { Jobs, movable } from '../../../kernels/jobs.js';
import type { Encoded } from './choose.js';

export type CodecJob =
  | { readonly op: 'encode'; readonly raw: Uint8Array; readonly dtype: DType }
  | {
      readonly op: 'decode';
      readonly stored: Uint8Array;
      readonly codec: number;
      readonly length: number;
      readonly dtype: DType;
    };

export type CodecDone =
  | { readonly op: 'encode'; readonly encoded: Encoded; readonly crc32: number }
  /** `raw` is undefined if the stored bytes are none of the codec. */
  | { readonly op: 'decode'; readonly raw: Uint8Array | undefined; readonly crc32: number };

/** Each takes some 60 MB, most of it buffers that wait for its garbage collection: more would pass our memory. */
const MAX_WORKERS = 2;

/** Chunks of all tensors that are being coded share the workers. */
const jobs = new Jobs<CodecJob, CodecDone>('bundle/codec.cjs');

/** Chunks that are in the works at the same time, at most: with their results they bound the memory. */
export const chunksAhead = (threads: number): number => 2 * Math.min(threads, MAX_WORKERS);

/** `encodeChunk` in a worker: the same bytes. `raw` is gone afterwards. */
export async function encodeElsewhere(
  raw: Uint8Array,
  dtype: DType,
  threads: number,
): Promise<Encoded & { readonly crc32: number }> {
  const mine = movable(raw);
  const done = await jobs.run(
    { op: 'encode', raw: mine, dtype },
    [mine.buffer],
    Math.min(threads, MAX_WORKERS),
  );
  if (done.op !== 'encode') throw new Error('asked to encode, was decoded');
  return { ...done.encoded, crc32: done.crc32 };
}

/** The sum of the stored bytes, and what they decode to. `stored` is gone afterwards. */
export async function decodeElsewhere(
  stored: Uint8Array,
  codec: number,
  length: number,
  dtype: DType,
  threads: number,
): Promise<{ readonly raw: Uint8Array | undefined; readonly crc32: number }> {
  const mine = movable(stored);
  const done = await jobs.run(
    { op: 'decode', stored: mine, codec, length, dtype },
    [mine.buffer],
    Math.min(threads, MAX_WORKERS),
  );
  if (done.op !== 'decode') throw new Error('asked to decode, was encoded');
  return done;
}
