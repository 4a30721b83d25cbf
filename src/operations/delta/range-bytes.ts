import type { TensorSource } from '../../core/tensor.js';

/** Bytes [start, end) of a tensor, a chunk or so. */
export async function bytesOf(tensor: TensorSource, start: number, end: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - start);
  let at = 0;
  for await (const chunk of tensor.stream({ start, end })) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}
