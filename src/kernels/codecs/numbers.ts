/** What is known of codecs without loading them: numbers are written into files and never change their meaning. */

/** The bytes as they are. */
export const RAW = 0;

export const CODEC_NAMES: ReadonlyMap<number, string> = new Map([
  [RAW, 'raw'],
  [1, 'zstd'],
  [2, 'planes'],
  [3, 'planes-huffman'],
  [4, 'sparse'],
  [5, 'palette'],
  [16, 'residual'],
  [17, 'sparse-residual'],
  [18, 'xor-planes'],
  [24, 'bf16-delta'],
  [25, 'int8-delta'],
]);

/** Codecs that need the base's bytes. */
export const BASED: ReadonlySet<number> = new Set([16, 17, 18, 24, 25]);
