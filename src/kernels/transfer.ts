import type { WorkContext } from '../core/format.js';
import type { TensorSource } from '../core/tensor.js';
import { MlserError } from '../errors.js';
import { crc32, PieceCrcs } from '../io/crc32.js';
import { sha256Hasher, sha256Hex } from '../io/hashing.js';
import type { ByteSink } from '../io/sink.js';

/** A tensor and the place in a staged file where its canonical bytes go. */
export interface Placement {
  readonly tensor: TensorSource;
  readonly sink: ByteSink;
  readonly offset: number;
  /** Also compute these over the bytes written. */
  readonly crc32?: boolean;
  readonly sha256?: boolean;
  /** Also the CRC-32 of every this many bytes (the last piece is the rest), for formats that check parts. */
  readonly crcEvery?: number;
}

export interface Placed {
  readonly crc32?: number;
  /** One for each `crcEvery` bytes. */
  readonly crcs?: readonly number[];
  readonly sha256?: string;
}

/** Pulls every tensor once and writes its bytes at its place. Results are in the order of `placements`. */
export async function transfer(placements: readonly Placement[], context: WorkContext): Promise<Placed[]> {
  const placed: Placed[] = [];
  for (const { tensor, sink, offset, ...want } of placements) {
    let at = offset;
    let crc = 0;
    const hash = want.sha256 ? sha256Hasher() : undefined;
    const pieces = want.crcEvery === undefined ? undefined : new PieceCrcs(want.crcEvery);
    for await (const chunk of tensor.stream()) {
      await sink.writeAt(at, chunk);
      if (want.crc32) crc = crc32(chunk, crc);
      hash?.update(chunk);
      pieces?.update(chunk);
      at += chunk.byteLength;
      context.progress.advance(chunk.byteLength);
    }
    if (at !== offset + tensor.byteLength) throw wrongLength(tensor, at - offset);
    placed.push({
      ...(want.crc32 ? { crc32: crc } : {}),
      ...(hash ? { sha256: hash.digest('hex') } : {}),
      ...(pieces ? { crcs: pieces.finish() } : {}),
    });
  }
  return placed;
}

const wrongLength = ({ info, byteLength }: TensorSource, found: number): MlserError =>
  new MlserError(
    'E_TRUNCATED',
    `tensor ${JSON.stringify(info.name)} gave ${found} bytes instead of ${byteLength}`,
    { details: { tensor: info.name, needed: byteLength, found } },
  );

/** SHA-256 (hex) of the canonical bytes of every tensor, in order. */
export async function hashTensors(tensors: readonly TensorSource[], context: WorkContext): Promise<string[]> {
  const hashes: string[] = [];
  for (const tensor of tensors) {
    hashes.push(await sha256Hex(tensor.stream()));
    context.progress.advance(tensor.byteLength);
  }
  return hashes;
}
