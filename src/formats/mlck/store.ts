import type { DeltaBase, WriteContext } from '../../core/format.js';
import { tensorMap } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import { MlserError } from '../../errors.js';
import { crc32 } from '../../io/crc32.js';
import type { ByteSink } from '../../io/sink.js';
import { BASED, RAW } from '../../kernels/codecs/index.js';
import { inOrder } from '../../kernels/jobs.js';
import { interrupted } from '../../kernels/messages.js';
import { programOf } from '../../kernels/program.js';
import { hashTensors, type Placement, transfer } from '../../kernels/transfer.js';
import {
  chunksAhead,
  type EncodeDone,
  type EncodedChunk,
  type EncodeJob,
  encodeElsewhere,
  encodeHere,
  endWorkers,
  type Part,
  releaseHere,
} from './codecs/parallel.js';
import { alignUp, CHUNK_ALIGNMENT, chunkBytesFor, chunkStride, HEADER_BYTES, rawStart } from './layout.js';
import { NO_STORAGE } from './manifest.js';
import { type Predicted, predictionsOf } from './predictions.js';
import { sealKeys, tensorContext } from './seal.js';
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
    return { ...NO_STORAGE, byteLength, sha256, sameBytesAs: undefined, ...place, crcs };
  });
}

/** A model of fewer bytes is coded before workers have started. */
const PARALLEL_BYTES = 8 << 20;
/** Writes of this process so far. */
let writes = 0;
/** Chunks that are coded in one go: each takes a message there and back. */
const CHUNKS_A_JOB = 4;

/**
 * Stores tensors chunk by chunk in their shortest form. Bytes that an earlier tensor has, or (of a delta) a tensor of
 * the base, are found by their hash before and stored once. Chunks are coded in workers, a bounded number ahead, and
 * written in their order: the same bytes at any number of threads.
 */
export async function storePacked(
  tensors: readonly TensorSource[],
  sink: ByteSink,
  context: WriteContext,
): Promise<Stored[]> {
  const total = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const threads = total < PARALLEL_BYTES ? 1 : context.threads;
  const { delta } = context.options;
  const hashes = await hashTensors(tensors.map(exact), context);
  context.progress.stage('write', total);
  const bases = delta && basesOf(delta);
  const seen = new Map<string, string>();
  const rough = tensors.map((tensor, i): TensorPlan => {
    const sha256 = hashes[i] ?? '';
    const { name, dtype } = tensor.info;
    const key = `${sha256} ${dtype}`;
    const { byteLength } = tensor;
    if (byteLength === 0) return { tensor, sha256, kind: 'stored' };
    const twin = seen.get(key);
    if (twin === undefined) seen.set(key, name);
    const same = bases?.sameBytes(tensor, sha256);
    if (same) return { tensor, sha256, kind: 'base', base: same };
    if (twin !== undefined) return { tensor, sha256, kind: 'twin', twin };
    const base = bases?.of(tensor);
    return base ? { tensor, sha256, kind: 'stored', base } : { tensor, sha256, kind: 'stored' };
  });
  const plans = delta ? withPredictions(rough, delta) : rough;
  const owner = writes++;
  const encode = (job: Omit<EncodeJob, 'op' | 'owner'>): Promise<EncodeDone> =>
    threads > 1 ? encodeElsewhere({ ...job, owner }, threads) : encodeHere({ ...job, owner });
  const run = async (piece: Piece): Promise<EncodeDone | undefined> => piece && encode(piece);
  const pieces = inOrder(piecesOf(plans, context), run, threads > 1 ? chunksAhead(threads) : 1);
  const stored: Stored[] = [];
  let at = HEADER_BYTES;
  try {
    for (const plan of plans) {
      if (plan.kind !== 'stored') {
        stored.push(await referring(plan, context));
        context.progress.advance(plan.tensor.byteLength);
        continue;
      }
      const start = rawStart(at, plan.tensor.byteLength); // it may turn out to be stored raw
      const { place, end } = await storeOne(plan, pieces, sink, start, context);
      stored.push(place);
      at = plan.tensor.byteLength === 0 ? at : end;
    }
  } finally {
    await pieces.return(undefined);
    endWorkers();
    if (threads === 1) await releaseHere();
  }
  sink.extendTo(at);
  return stored;
}

/** What becomes of a tensor. */
type TensorPlan = { readonly tensor: TensorSource; readonly sha256: string } & (
  | { readonly kind: 'stored'; readonly base?: TensorSource; readonly predicted?: Predicted }
  | { readonly kind: 'twin'; readonly twin: string }
  | { readonly kind: 'base'; readonly base: TensorSource }
);

function withPredictions(plans: readonly TensorPlan[], delta: DeltaBase): TensorPlan[] {
  const own = new Set(plans.flatMap(({ kind, tensor }) => (kind === 'twin' ? [] : [tensor.info.name])));
  const tensors = plans.map(({ tensor }) => tensor);
  const predictedOf = predictionsOf(delta, tensors, (name) => own.has(name));
  return plans.map((plan) => {
    const predicted = plan.kind === 'stored' && plan.base ? predictedOf(plan.tensor) : undefined;
    return predicted ? { ...plan, predicted } : plan;
  });
}

/** The record of a tensor whose bytes lie elsewhere. */
async function referring(plan: TensorPlan, context: WriteContext): Promise<Stored> {
  const { tensor, sha256 } = plan;
  const none = { ...NO_STORAGE, byteLength: tensor.byteLength, sha256, sameBytesAs: undefined };
  if (plan.kind === 'twin') return { ...none, sameBytesAs: plan.twin };
  if (plan.kind !== 'base') throw new Error('the tensor has storage');
  let crc = 0;
  for await (const chunk of tensor.stream()) {
    if (context.signal?.aborted) throw interrupted();
    crc = crc32(chunk, crc);
  }
  return { ...none, changed: 0, base: plan.base.info.name, sameAsBase: true, rawCrcs: [crc] };
}

/** Tensors of a base by what deltas look for. */
function basesOf({ model, hashes }: DeltaBase) {
  const byName = tensorMap(model);
  const byBytes = new Map<string, TensorSource>();
  for (const tensor of model.tensors) {
    const key = `${hashes.get(tensor.info.name)} ${tensor.info.dtype}`;
    if (!byBytes.has(key)) byBytes.set(key, tensor);
  }
  return {
    sameBytes: ({ info, byteLength }: TensorSource, sha256: string): TensorSource | undefined => {
      const own = byName.get(info.name);
      const same =
        own?.info.dtype === info.dtype && hashes.get(info.name) === sha256
          ? own
          : byBytes.get(`${sha256} ${info.dtype}`);
      return same?.byteLength === byteLength ? same : undefined;
    },
    of: ({ info, byteLength }: TensorSource): TensorSource | undefined => {
      const base = byName.get(info.name);
      return base?.info.dtype === info.dtype && base.byteLength === byteLength ? base : undefined;
    },
  };
}

/** Chunks of a tensor as they go to be coded; undefined at the end of a tensor. */
type Piece = Omit<EncodeJob, 'op'> | undefined;

async function* piecesOf(plans: readonly TensorPlan[], context: WriteContext): AsyncGenerator<Piece> {
  const { codecs: choice, key, delta } = context.options;
  for (const plan of plans) {
    if (plan.kind !== 'stored') continue;
    const { dtype, name } = plan.tensor.info;
    const chunkBytes = chunkBytesFor(dtype);
    const lossy = plan.base && delta?.lossy?.get(name);
    const tensor = exact(lossy?.original ?? plan.tensor);
    const common = {
      ...{ dtype, chunkBytes },
      ...(choice ? { choice } : {}),
      ...(key ? { seal: sealKeys(key, tensorContext(name)) } : {}),
      ...(lossy ? { lossy: lossy.method } : {}),
    };
    const raws = partsOf(tensor, chunkBytes * CHUNKS_A_JOB);
    const below = plan.predicted?.tensor ?? plan.base;
    const bases = below && partsOf(below, chunkBytes * CHUNKS_A_JOB);
    // What changed is told of the base, whatever was predicted.
    const before = plan.predicted && plan.base && partsOf(plan.base, chunkBytes * CHUNKS_A_JOB);
    let index = 0;
    for await (const raw of raws) {
      if (context.signal?.aborted) throw interrupted();
      const base = await bases?.next();
      const old = await before?.next();
      yield {
        ...{ ...common, index, raw },
        ...(base && !base.done ? { base: base.value } : {}),
        ...(old && !old.done ? { before: old.value } : {}),
      };
      index += CHUNKS_A_JOB;
    }
    await bases?.return(undefined);
    await before?.return(undefined);
    yield undefined;
  }
}

/** A tensor in pieces of `length` bytes: told to the worker where it can pull them, else pulled here. */
async function* partsOf(tensor: TensorSource, length: number): AsyncGenerator<Part> {
  const program = programOf(tensor);
  const { byteLength } = tensor;
  if (program && !program.crc32)
    for (let start = 0; start < byteLength; start += length)
      yield { program, start, length: Math.min(length, byteLength - start) };
  else for await (const bytes of rechunk(tensor.stream(), length)) yield { bytes };
}

/** Writes the coded chunks of one tensor, up to its end. */
async function storeOne(
  plan: TensorPlan & { readonly kind: 'stored' },
  pieces: AsyncGenerator<EncodeDone | undefined>,
  sink: ByteSink,
  start: number,
  context: WriteContext,
): Promise<{ place: Stored; end: number }> {
  const { tensor, sha256 } = plan;
  const { byteLength } = tensor;
  const chunks: EncodedChunk[] = [];
  let at = start;
  for (;;) {
    const { value, done } = await pieces.next();
    if (done) throw new Error('a tensor has no end');
    if (!value) return { place: placeOf(plan, start, chunks, sha256), end: at };
    let from = 0;
    for (const chunk of value.chunks) {
      await sink.writeAt(at, value.bytes.subarray(from, from + chunk.stored));
      from += chunk.stored;
      chunks.push(chunk);
      at += chunkStride(chunk.stored, chunk.length);
      context.progress.advance(chunk.length);
    }
    if (byteLength === 0) throw new Error('an empty tensor has a chunk');
  }
}

function placeOf(
  { tensor, base, predicted }: TensorPlan & { readonly kind: 'stored' },
  start: number,
  chunks: readonly EncodedChunk[],
  sha256: string,
): Stored {
  const { byteLength, info } = tensor;
  const none = { ...NO_STORAGE, byteLength, sha256, sameBytesAs: undefined };
  if (byteLength === 0) return none;
  const allRaw = chunks.every(({ codec }) => codec === RAW);
  const building = base && chunks.some(({ codec }) => BASED.has(codec));
  return {
    ...none,
    changed: chunks.reduce((sum, { changed }) => sum + changed, 0),
    offset: start,
    chunkBytes: chunkBytesFor(info.dtype),
    crcs: chunks.map((chunk) => chunk.crc32),
    codecs: allRaw ? [] : chunks.map(({ codec }) => codec),
    storedLengths: allRaw ? [] : chunks.map(({ stored }) => stored),
    ...(building ? { base: base.info.name, rawCrcs: chunks.map(({ rawCrc }) => rawCrc) } : {}),
    ...(building && predicted ? { prediction: predicted.prediction } : {}),
    nonces: Buffer.concat(chunks.flatMap(({ nonce }) => nonce ?? [])),
    tags: Buffer.concat(chunks.flatMap(({ tag }) => tag ?? [])),
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
