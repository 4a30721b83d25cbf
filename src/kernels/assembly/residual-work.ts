// Where the parts of residual coding keep what they share, in `work` (at least 640 KiB).

/** Classes: 0 … 3 are the magnitude; then four to an octave. 124 cover 32 bits. */
export const CLASSES: i32 = 124;
export const MAX_CONTEXTS: i32 = 16;
export const JOINT: usize = 0; // 256 exponents × 128 × u32
export const JOINT2: usize = 131072; // the same, for every other element
export const ROWS: usize = 262144; // u32 × 256: context of an exponent
export const SUMS: usize = 263168; // 16 × 128 × u32
export const LENGTHS: usize = 271360; // 16 × 128
export const CODES: usize = 273408; // 16 × 128 × u32
export const SCRATCH: usize = 281600; // 4 KiB
export const STARTS: usize = 285696; // u32: number of contexts; u8 × 16: first exponents
export const TABLES: usize = 286720; // 16 × 2048 × u16: classes
export const SHORT: usize = 352256; // 16 × 2048 × u16: whole differences; or 16 × 128 × 16 bytes to write with
export const CLASS_BASE: usize = 417792; // u32 × 128
export const CLASS_BITS: usize = 418304; // u8 × 128: raw bits with the sign
export const CLASS_MASK: usize = 418432; // u32 × 128: of the low bits
export const BLOCKS: usize = 418944; // what is prepared of a few elements, 64 KiB
/** In a table of whole differences: not short enough. */
export const LONG: u32 = 15;
