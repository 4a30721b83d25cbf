import type { DType } from '../../../core/dtype.js';
import type { CodecChoice, LossyMethod } from '../../../core/format.js';
import type { Seal } from '../../../core/recipe.js';
import { Jobs, movable } from '../../../kernels/jobs.js';
import type { Program } from '../../../kernels/program.js';
import type { SealKeys } from '../seal.js';

/** Canonical bytes of a tensor from `start` on: in memory, or as a worker can pull them. */
export type Part =
  | { readonly bytes: Uint8Array }
  | { readonly program: Program; readonly start: number; readonly length: number };

/** Neighbouring chunks of a tensor that are coded together. */
export interface EncodeJob {
  readonly op: 'encode';
  /** Which write the job belongs to: files that were opened for another one may have been replaced since. */
  readonly owner?: number;
  readonly dtype: DType;
  /** Number of the first chunk. */
  readonly index: number;
  readonly chunkBytes: number;
  readonly raw: Part;
  readonly base?: Part;
  /** What changes are counted against, where that is not `base`. */
  readonly before?: Part;
  readonly choice?: CodecChoice;
  readonly lossy?: LossyMethod;
  readonly seal?: SealKeys;
}

export interface EncodedChunk {
  readonly codec: number;
  readonly stored: number;
  readonly length: number;
  readonly crc32: number;
  readonly rawCrc: number;
  /** Bytes of elements that differ from the base. */
  readonly changed: number;
  readonly nonce?: Uint8Array;
  readonly tag?: Uint8Array;
}

export interface EncodeDone {
  readonly op: 'encode';
  readonly chunks: readonly EncodedChunk[];
  /** The stored chunks, one after the other. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export interface DecodeJob {
  readonly op: 'decode';
  readonly stored: Uint8Array;
  readonly codec: number;
  readonly length: number;
  readonly dtype: DType;
  readonly index: number;
  readonly base?: Uint8Array;
  readonly seal?: Seal;
}

export interface DecodeDone {
  readonly op: 'decode';
  /** Undefined if the stored bytes are none of the codec. */
  readonly raw: Uint8Array | undefined;
  /** Of the stored bytes. */
  readonly crc32: number;
  /** False if they are encrypted and the key does not open them. */
  readonly opened: boolean;
}

export type CodecJob = EncodeJob | DecodeJob;
export type CodecDone = EncodeDone | DecodeDone;

/** Each takes some 60 MB, most of it buffers that wait for its garbage collection: more would pass our memory. */
const MAX_WORKERS = 2;

/** Chunks of all tensors that are being coded share the workers. */
const jobs = new Jobs<CodecJob, CodecDone>('bundle/codec.cjs');

/** The workers go, if they have nothing to do. */
export const endWorkers = (): void => jobs.end();

/** Jobs that are in the works at the same time, at most: with their results they bound the memory. */
export const chunksAhead = (threads: number): number => 2 * Math.min(threads, MAX_WORKERS);

const buffersOf = (part: Part | undefined): ArrayBuffer[] =>
  part && 'bytes' in part ? [part.bytes.buffer as ArrayBuffer] : [];
const movablePart = (part: Part): Part => ('bytes' in part ? { bytes: movable(part.bytes) } : part);

/** Codes chunks in a worker: the same bytes as here. Bytes in the job are gone afterwards. */
export async function encodeElsewhere(job: Omit<EncodeJob, 'op'>, threads: number): Promise<EncodeDone> {
  const raw = movablePart(job.raw);
  const base = job.base && movablePart(job.base);
  const before = job.before && movablePart(job.before);
  const sent: EncodeJob = {
    ...{ ...job, op: 'encode', raw },
    ...(base ? { base } : {}),
    ...(before ? { before } : {}),
  };
  const moved = [...buffersOf(raw), ...buffersOf(base), ...buffersOf(before)];
  const done = await jobs.run(sent, moved, Math.min(threads, MAX_WORKERS));
  if (done.op !== 'encode') throw new Error('asked to encode, was decoded');
  return done;
}

export async function encodeHere(job: Omit<EncodeJob, 'op'>): Promise<EncodeDone> {
  const { encodeJob } = await import('./work.js');
  return encodeJob({ ...job, op: 'encode' });
}

/** Closes the files that `encodeHere` read. */
export async function releaseHere(): Promise<void> {
  const { release } = await import('./work.js');
  release();
}

/** What the stored bytes decode to. Bytes in the job are gone afterwards. */
export async function decodeElsewhere(job: Omit<DecodeJob, 'op'>, threads: number): Promise<DecodeDone> {
  const stored = movable(job.stored);
  const base = job.base && movable(job.base);
  const sent: DecodeJob = { ...job, op: 'decode', stored, ...(base ? { base } : {}) };
  const moved = [stored.buffer, ...(base ? [base.buffer] : [])];
  const done = await jobs.run(sent, moved, Math.min(threads, MAX_WORKERS));
  if (done.op !== 'decode') throw new Error('asked to decode, was encoded');
  return done;
}

export async function decodeHere(job: Omit<DecodeJob, 'op'>): Promise<DecodeDone> {
  const { decodeJob } = await import('./work.js');
  return decodeJob({ ...job, op: 'decode' });
}
