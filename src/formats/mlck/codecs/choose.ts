import type { DType } from '../../../core/dtype.js';
import { type Codec, RAW } from './index.js';

export interface Encoded {
  readonly codec: number;
  readonly bytes: Uint8Array;
}

/** The shortest form of a chunk by measuring all: never longer than the chunk, raw where nothing pays. */
export function encodeChunk(raw: Uint8Array, dtype: DType, codecs: readonly Codec[]): Encoded {
  let best: Encoded = { codec: RAW, bytes: raw };
  for (const codec of codecs) {
    const bytes = codec.encode(raw, dtype);
    if (bytes && bytes.byteLength < best.bytes.byteLength) best = { codec: codec.id, bytes };
  }
  return best;
}
