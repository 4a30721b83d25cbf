// Where the parts of residual coding keep what they share, in `work` (at least 640 KiB).

/** Classes: 0 … 3 are the magnitude; then four to an octave. 124 cover 32 bits. */
export const CLASSES: i32 = 124;
/** More than elements of one and two bytes have. */
export const NARROW_CLASSES: i32 = 64;
export const MAX_CONTEXTS: i32 = 16;
export const JOINT: usize = 0; // 256 exponents × 128 × u32
export const JOINT2: usize = 131072; // the same, for every other element
export const ROWS: usize = 262144; // u8 × 272: contexts of exponents
export const SUMS: usize = 263168; // 16 × 128 × u32
export const LENGTHS: usize = 271360; // 16 × 128
export const CODES: usize = 273408; // 16 × 128 × u32
export const SCRATCH: usize = 281600; // 4 KiB
export const STARTS: usize = 285696; // u32: number of contexts; u8 × 16: first exponents
export const TABLES: usize = 286720; // 16 × 2048 × u16: classes
export const SHORT: usize = 352256; // 16 × 128 × 16 bytes to write with
export const CLASS_PARTS: usize = 417792; // 128 × 16 bytes to read with
export const ADDRESSES: usize = 419840; // u32 × 256: of the table for an exponent
export const RAWS: usize = 420864; // u8 × 128: bits of a class after its code
export const BLOCKS: usize = 420992; // what is prepared for a few elements, 64 KiB
