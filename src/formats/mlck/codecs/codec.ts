import type { DType } from '../../../core/dtype.js';

/** A way to store the bytes of one chunk. Chunks are coded apart from each other. */
export interface Codec {
  readonly id: number;
  readonly name: string;
  /** The stored form, or undefined where it cannot be shorter than the chunk. Same bytes in, same bytes out, anywhere. */
  encode(raw: Uint8Array, dtype: DType): Uint8Array | undefined;
  /** The `length` canonical bytes, or undefined if the stored bytes are none of this codec. Allocates no more than that. */
  decode(stored: Uint8Array, length: number, dtype: DType): Uint8Array | undefined;
}
