import type { DType } from '../../core/dtype.js';
import { type Bench, shapeOf } from './bench.js';
import { type Codecs, isTrap } from './codec.js';
import { RAW } from './numbers.js';

/**
 * The `stored` bytes in `bench.stored` (of a base: its bytes in `bench.base`) become the `length` canonical bytes in
 * `bench.raw`. False if they are none of the codec.
 */
export function decodeChunk(
  bench: Bench,
  codecs: Codecs,
  chunk: {
    readonly codec: number;
    readonly stored: number;
    readonly length: number;
    readonly dtype: DType;
  },
): boolean {
  const { codec: id, stored, length, dtype } = chunk;
  if (id === RAW) {
    if (stored !== length) return false;
    bench.raw.bytes.set(bench.stored.bytes.subarray(0, length));
    return true;
  }
  try {
    return codecs.get(id)?.decode(bench, shapeOf(dtype, length), stored) ?? false;
  } catch (error) {
    if (isTrap(error) || error instanceof RangeError) return false;
    throw error;
  }
}
