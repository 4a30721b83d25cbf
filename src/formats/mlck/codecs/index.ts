import type { Codec } from './codec.js';
import { planesCodec } from './planes.js';
import { loadZstd, zstdCodec } from './zstd.js';

export type { Codec } from './codec.js';

/** Codec 0: the bytes as they are. */
export const RAW = 0;

/**
 * The registry. Numbers are written into files and never change their meaning.
 * 0 raw · 1 zstd · 2 planes. Kept for: 3 planes with Huffman codes · 4 sparse · 5 palette · 16 to 31 deltas.
 */
const CODECS: ReadonlyMap<number, () => Promise<Codec>> = new Map([
  [1, async () => zstdCodec(await loadZstd())],
  [2, async () => planesCodec(await loadZstd())],
]);

/** The codec of a number, undefined if this version has none. */
export const loadCodec = (id: number): Promise<Codec> | undefined => CODECS.get(id)?.();

/** All codecs that a writer may choose from, in the order in which the earlier one wins a tie. */
export const loadCodecs = (): Promise<Codec[]> => Promise.all([...CODECS.values()].map((load) => load()));
