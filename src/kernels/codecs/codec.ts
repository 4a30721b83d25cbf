import type { Bench, ChunkShape } from './bench.js';

/** A way to store the bytes of one chunk. Chunks are coded apart from each other. */
export interface Codec {
  /** Written into files; never changes its meaning. */
  readonly id: number;
  readonly name: string;
  /** Whether it needs the base's bytes of the same place. */
  readonly needsBase: boolean;
  /** Few bytes change: it decodes as well where `bench.raw` is `bench.base`, and no copy of the base is made. */
  readonly inPlace?: boolean;
  /**
   * Writes the chunk in `bench.raw` (and `bench.base`) to `bench.stored`, if it takes fewer than `limit` bytes:
   * undefined if not. Same bytes in, same bytes out, anywhere.
   */
  encode(bench: Bench, chunk: ChunkShape, limit: number): number | undefined;
  /** The elements that differ from the base, if `encode` has come to know them. */
  changed?(bench: Bench, chunk: ChunkShape): number | undefined;
  /**
   * `length` stored bytes in `bench.stored` become the chunk in `bench.raw`; false if they are none of this codec.
   * The bytes are not trusted: whatever they are, nothing outside the bench is touched.
   */
  decode(bench: Bench, chunk: ChunkShape, length: number): boolean;
}

/** A WebAssembly trap: stored bytes led out of the memory. */
export const isTrap = (error: unknown): boolean => error instanceof WebAssembly.RuntimeError;

/** All codecs by number. */
export type Codecs = ReadonlyMap<number, Codec>;
