import type { Crc32Check } from '../io/crc32.js';
import type { DType } from './dtype.js';

/** A step on raw chunks, run by the kernels (SIMD, with a plain reference). Chunk in, chunk out. */
export type KernelOp =
  /** Number conversion, round to nearest even, exact to the references (kernels/cast). */
  | { readonly op: 'cast'; readonly from: DType; readonly to: DType }
  /** Reverses the bytes of every element of `width` bytes (big-endian files). */
  | { readonly op: 'byteswap'; readonly width: 2 | 4 | 8 }
  /** Elements whose magnitude is too small become +0. */
  | ({ readonly op: 'zero' } & ZeroRule)
  /**
   * Of every `of` neighbouring floats of `width` bytes all but the `keep` largest become +0. Without `along` they lie side
   * by side and `of` divides 64, so that no block cuts a group; with it whole groups have to be pulled.
   */
  | {
      readonly op: 'pattern';
      readonly width: 2 | 4 | 8;
      readonly keep: number;
      readonly of: number;
      readonly along?: Axis;
    }
  /** Codes become the f32 numbers that they stand for. */
  | { readonly op: 'decode'; readonly decoding: Decoding };

/** What codes of `bits` bits stand for, by their place in a tensor. Arrays lie in memory that threads share. */
export type Decoding = { readonly tensor: string; readonly bits: number } & (
  | ({
      /** (integer − zero point) × scale. No zero points: all are zero. */
      readonly kind: 'integers';
      readonly dtype: DType;
      readonly scales: Float32Array;
      readonly zeros: Int32Array;
    } & Sharing)
  /** A level × the scale of its run of `block` elements. */
  | {
      readonly kind: 'levels';
      readonly levels: readonly number[];
      readonly scales: Float32Array;
      readonly block: number;
    }
  /** A place in the row, of `width` values, of its channels. */
  | ({ readonly kind: 'table'; readonly table: Float64Array; readonly width: number } & Sharing)
);

/** Which elements of a tensor share something: all, those with the same index along an axis, or blocks of it. */
interface Sharing {
  readonly shape: readonly number[];
  readonly axis?: number;
  readonly block?: number;
}

/** Where neighbours along an axis lie: rows of `length` elements, each `stride` elements behind the one before. */
export interface Axis {
  readonly length: number;
  readonly stride: number;
}

/**
 * Which floats of `width` bytes become zero: those of a magnitude below `below`, and those of exactly this one in front
 * of position `tiesBefore` of the tensor. A magnitude is the bits without the sign: ordered as absolute values are.
 */
export interface ZeroRule {
  readonly width: 2 | 4 | 8;
  readonly below: bigint;
  readonly tiesBefore: number;
}

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
  /** The raw bytes do not lie in a file: `path` (for messages) holds chunks that unfold to them. */
  readonly coded?: Coded;
}

/** Bytes that lie in coded chunks, each coded apart, perhaps as differences to a base (native checkpoints). */
export interface Coded {
  readonly dtype: DType;
  /** Bytes in every chunk but the last. */
  readonly chunkBytes: number;
  /** Bytes of all chunks together. */
  readonly length: number;
  /** The files, one on top of the other: the first builds on `base`, every further one on the one before. */
  readonly levels: readonly CodedLevel[];
  /** `length` raw bytes without chunks. */
  readonly base?: Recipe;
}

export interface CodedLevel {
  /** Absolute path. */
  readonly path: string;
  /** CODED_FIELDS numbers a chunk, in memory that threads share. */
  readonly table: Float64Array;
  /** Key and nonces, where chunks are encrypted. */
  readonly seal?: Seal;
}

/** Offset, stored bytes, codec, CRC-32 of the stored bytes, CRC-32 of the chunk (−1: not recorded). */
export const CODED_FIELDS = 5;

/** How the chunks of one tensor are encrypted (AES-256-GCM). */
export interface Seal {
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** 12 bytes a chunk. */
  readonly nonces: Uint8Array;
  /** 16 bytes a chunk. */
  readonly tags: Uint8Array;
  /** What else is authenticated, before the number of the chunk. */
  readonly context: string;
}
