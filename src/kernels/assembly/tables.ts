// Casts by look-up in tables that the plain casts made. Reference: ../convert.ts.

/**
 * f32 → a float of one byte: cut to 16 bits with a sticky last bit (rounding to odd), then a table of 65,536 bytes.
 */
export function castF32ByTable(src: usize, dst: usize, count: i32, table: usize): void {
  const end = src + (<usize>count << 2);
  while (src < end) {
    const x = load<u32>(src);
    store<u8>(dst, load<u8>(table + <usize>((x >> 16) | <u32>((x & 0xffff) != 0))));
    src += 4;
    dst++;
  }
}

/** 16-bit codes → bytes, by a table of 65,536 bytes. */
export function cast16ByTable(src: usize, dst: usize, count: i32, table: usize): void {
  const end = src + (<usize>count << 1);
  while (src < end) {
    store<u8>(dst, load<u8>(table + <usize>load<u16>(src)));
    src += 2;
    dst++;
  }
}

/** Bytes → 16 bits, by a table of 256. */
export function widenTo16ByTable(src: usize, dst: usize, count: i32, table: usize): void {
  const end = src + <usize>count;
  while (src < end) {
    store<u16>(dst, load<u16>(table + (<usize>load<u8>(src) << 1)));
    src++;
    dst += 2;
  }
}

/** Bytes → 32 bits, by a table of 256. */
export function widenTo32ByTable(src: usize, dst: usize, count: i32, table: usize): void {
  const end = src + <usize>count;
  while (src < end) {
    store<u32>(dst, load<u32>(table + (<usize>load<u8>(src) << 2)));
    src++;
    dst += 4;
  }
}
