// What reading coded differences is made of: tables of codes and their parts, bits, and differences back to elements.
import { lowBits, rawBits } from './classes';
import { changed1, changed2, changed4 } from './differences';
import { LIMIT, SLOTS } from './huffman';
import { READ_PARTS, READ_TABLES } from './residual-work';

/** For how many classes the parts were made last: nobody else writes there. */
let partsOf: u32 = 0;

/**
 * Of every length of a code and class, 16 bytes (64 apart for narrow elements): u32 twice its lowest magnitude (of four-byte elements: that magnitude), u32
 * the bits that are read into it (the sign lowest), u8 where they stand, u8 the bits of all. Streams are read from one bit
 * before: a place in a table is two bytes.
 */
export function partTable(classes: u32, wide: bool): void {
  if (partsOf == classes) return;
  partsOf = classes;
  const apart: usize = wide ? 16 : 64;
  for (let length: u32 = 0; length <= <u32>LIMIT; length++)
    for (let c: u32 = 0; c < classes; c++) {
      const low = lowBits(c);
      const base = c < 4 ? c : (4 | (c & 3)) << low;
      const entry = READ_PARTS + (<usize>length * (wide ? 128 : 64) + <usize>c) * apart;
      store<u32>(entry, wide ? base : base << 1);
      store<u32>(entry, c == 0 ? 0 : (2 << low) - 1, 4);
      store<u8>(entry, <u8>(length + 1), 8);
      store<u8>(entry, <u8>(length + rawBits(c)), 9);
    }
}

// Bits are numbered from the beginning of the memory: a stream is one number, one less than that of its next bit.
// @ts-ignore: decorator
@inline
export function bitsFrom(bits: u64): u64 {
  return load<u64>(<usize>(bits >> 3)) >> (bits & 7);
}

/** What the table of a row has for the next code. */
// @ts-ignore: decorator
@inline
export function entryAt(w: u64, row: u32): u32 {
  return load<u16>(<usize>(row + (<u32>w & (2 * SLOTS - 2))), READ_TABLES);
}

/** A difference as 2 m + s. */
// @ts-ignore: decorator
@inline
export function narrow(w: u64, x: u32): u16 {
  const part = <usize>(x & 0xffc0);
  const raw = <u32>(w >> <u64>load<u8>(part, READ_PARTS + 8)) & load<u32>(part, READ_PARTS + 4);
  return <u16>(load<u32>(part, READ_PARTS) + raw);
}
/** All bits of a narrow one: from its entry, not its parts, which would make the next one wait longer. */
// @ts-ignore: decorator
@inline
export function bitsOf(x: u32): u64 {
  return <u64>(x & 63);
}

/** Eight differences of 2 m + s. Only that of −2^15 has more than 16 bits, and what is left of it, 1, is no other. */
// @ts-ignore: decorator
@inline
export function signed8(at: usize, far: bool): v128 {
  const x = v128.load(at);
  let m = i16x8.shr_u(x, 1);
  if (far) m = v128.or(m, i16x8.shl(i16x8.eq(x, i16x8.splat(1)), 15));
  const s = i16x8.shr_s(i16x8.shl(x, 15), 15);
  return i16x8.sub(v128.xor(m, s), s);
}

/** 16 elements: what was read of them, added to the base. */
// @ts-ignore: decorator
@inline
export function change<T>(read: usize, base: usize, floats: bool, far: bool, out: usize): void {
  if (sizeof<T>() == 4)
    for (let k: usize = 0; k < 64; k += 16)
      v128.store(out + k, changed4(v128.load(base + k), v128.load(read + k), floats));
  else {
    const a = signed8(read, far);
    const b = signed8(read + 16, far);
    if (sizeof<T>() == 2) {
      v128.store(out, changed2(v128.load(base), a, floats));
      v128.store(out, changed2(v128.load(base, 16), b, floats), 16);
    } else {
      const d = v128.shuffle<u8>(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
      v128.store(out, changed1(v128.load(base), d, floats));
    }
  }
}
