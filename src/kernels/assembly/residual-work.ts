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
export const TABLES: usize = 286720; // 64 KiB, where groups are made
export const BLOCKS: usize = 352256; // what is counted of a few elements, 64 KiB

// At places of their own (wasm.ts leaves 160 KiB free from 800 KiB on): constants in addresses cost nothing.
export const WRITE_TABLES: usize = 819200; // 16 × 128 × 32 bytes: what to write for a class in a context
export const WRITE_VALUES: usize = 933888; // u32 × 2 × 256: 2 m + s
export const WRITE_ENTRIES: usize = 935936; // u16 × 2 × 256: where in WRITE_TABLES an element is
export const READ_TABLES: usize = 819200; // 16 × 2048 × u16: codes of a context
export const READ_PARTS: usize = 884736; // 12 × 128 × 16 or 12 × 64 × 64 bytes: of a code's length and its class
export const READ_ROWS: usize = 933888; // u16 × 4 × 160: where in READ_TABLES the codes for an element begin
export const READ_VALUES: usize = 935168; // u32 × 4 × 160: differences
