import type { Crc32Check } from '../io/crc32.js';
import type { DType } from './dtype.js';

/** A step on raw chunks, run by the kernels (SIMD, with a plain reference). Chunk in, chunk out, element-wise. */
export type KernelOp =
  /** Number conversion, round to nearest even, exact to the references (kernels/cast). */
  | { readonly op: 'cast'; readonly from: DType; readonly to: DType }
  /** Reverses the bytes of every element of `width` bytes (big-endian files). */
  | { readonly op: 'byteswap'; readonly width: 2 | 4 | 8 };

/**
 * How a worker thread can pull a tensor by itself: a contiguous range of a local file, then kernel steps.
 * Sources that need more than this (strided views, inflated members) have no recipe and are streamed.
 */
export interface Recipe {
  /** Absolute path. */
  readonly path: string;
  readonly offset: number;
  /** Bytes to read. */
  readonly length: number;
  readonly ops: readonly KernelOp[];
  /**
   * What the raw bytes of the whole range (before `ops`) must sum up to: `crc32(bytes, seed) === expect`, else
   * E_INTEGRITY (`crcMismatch` of io/crc32). Pieces summed apart are joined with `crc32Combine`. Zip members have it.
   */
  readonly crc32?: Crc32Check;
}
