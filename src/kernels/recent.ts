import type { TensorSource } from '../core/tensor.js';

/** Bytes that are kept, at most. */
const KEPT_BYTES = 32 << 20;

interface Kept {
  readonly bytes: Promise<Uint8Array>;
  readonly length: number;
}

/** The one asked for last is the last one. */
const recent = new Map<string, Kept>();
let total = 0;

/** Tensors by how they are streamed, which stays the same when they get another name or role. */
const numbers = new WeakMap<TensorSource['stream'], number>();
let tensors = 0;

function numberOf({ stream }: TensorSource): number {
  const known = numbers.get(stream);
  if (known !== undefined) return known;
  numbers.set(stream, ++tensors);
  return tensors;
}

function forget(key: string): void {
  total -= recent.get(key)?.length ?? 0;
  recent.delete(key);
}

/**
 * The bytes [start, end) of a tensor, a chunk or so. What has to be unfolded is kept for a while: where deltas lie on
 * top of each other, several predictions of a level want the same chunks of the level below, and each would unfold them
 * anew, down to the bottom. The bytes are shared: whoever changes or moves them takes a copy.
 */
export async function recentBytes(tensor: TensorSource, start: number, end: number): Promise<Uint8Array> {
  if (tensor.recipe && !tensor.recipe.coded) return pulled(tensor, start, end);
  const key = `${numberOf(tensor)} ${start} ${end}`;
  const kept = recent.get(key) ?? { bytes: pulled(tensor, start, end), length: end - start };
  forget(key);
  recent.set(key, kept);
  total += kept.length;
  for (const [oldest] of recent) {
    if (total <= KEPT_BYTES) break;
    forget(oldest);
  }
  try {
    return await kept.bytes;
  } catch (error) {
    if (recent.get(key) === kept) forget(key);
    throw error;
  }
}

async function pulled(tensor: TensorSource, start: number, end: number): Promise<Uint8Array> {
  let bytes: Uint8Array | undefined;
  let at = 0;
  for await (const part of tensor.stream({ start, end })) {
    if (part.byteLength === end - start) bytes = part;
    else {
      bytes ??= new Uint8Array(end - start);
      bytes.set(part, at);
    }
    at += part.byteLength;
  }
  return bytes ?? new Uint8Array(end - start);
}
