// Byte order and byte counts. Reference: ../reference/bytes.ts.

/** Reverses the bytes of every element, in place or not; callers keep 16 bytes of room behind both areas. */
export function byteswap16(src: usize, dst: usize, bytes: i32): void {
  const end = src + <usize>bytes;
  while (src < end) {
    const x = v128.load(src);
    v128.store(dst, v128.shuffle<u8>(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14));
    src += 16;
    dst += 16;
  }
}

export function byteswap32(src: usize, dst: usize, bytes: i32): void {
  const end = src + <usize>bytes;
  while (src < end) {
    const x = v128.load(src);
    v128.store(dst, v128.shuffle<u8>(x, x, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12));
    src += 16;
    dst += 16;
  }
}

export function byteswap64(src: usize, dst: usize, bytes: i32): void {
  const end = src + <usize>bytes;
  while (src < end) {
    const x = v128.load(src);
    v128.store(dst, v128.shuffle<u8>(x, x, 7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8));
    src += 16;
    dst += 16;
  }
}

const LANE: usize = 256 * 4;

// @ts-ignore: decorator
@inline
function count(table: usize, value: u32): void {
  const at = table + (<usize>value << 2);
  store<u32>(at, load<u32>(at) + 1);
}

/** Adds four tables of counts (four, so that equal neighbours do not wait for each other) to one. */
function addTables(counts: usize, scratch: usize): void {
  for (let i: usize = 0; i < LANE; i += 16) {
    const low = i32x4.add(v128.load(scratch + i), v128.load(scratch + LANE + i));
    const high = i32x4.add(v128.load(scratch + 2 * LANE + i), v128.load(scratch + 3 * LANE + i));
    v128.store(counts + i, i32x4.add(v128.load(counts + i), i32x4.add(low, high)));
  }
}

/** Adds the counts of the byte values to 256 u32 at `counts`. */
export function byteHistogram(src: usize, bytes: i32, counts: usize, scratch: usize): void {
  memory.fill(scratch, 0, 4 * LANE);
  const end = src + <usize>bytes;
  const wide = src + (<usize>bytes & ~7);
  while (src < wide) {
    const x = load<u64>(src);
    count(scratch, <u32>(x & 255));
    count(scratch + LANE, <u32>((x >> 8) & 255));
    count(scratch + 2 * LANE, <u32>((x >> 16) & 255));
    count(scratch + 3 * LANE, <u32>((x >> 24) & 255));
    count(scratch, <u32>((x >> 32) & 255));
    count(scratch + LANE, <u32>((x >> 40) & 255));
    count(scratch + 2 * LANE, <u32>((x >> 48) & 255));
    count(scratch + 3 * LANE, <u32>(x >> 56));
    src += 8;
  }
  while (src < end) {
    count(scratch, load<u8>(src));
    src++;
  }
  addTables(counts, scratch);
}

/** Adds the counts of the 8 bits below the highest one (the exponent of f32 and bf16) of elements of `width` bytes. */
export function leadingHistogram(src: usize, elements: i32, width: i32, counts: usize, scratch: usize): void {
  memory.fill(scratch, 0, 4 * LANE);
  const bytes = <usize>elements * <usize>width;
  const end = src + bytes;
  const wide = src + (bytes & ~15);
  if (width == 2) {
    while (src < wide) {
      const x = load<u64>(src);
      const y = load<u64>(src, 8);
      count(scratch, <u32>((x >> 7) & 255));
      count(scratch + LANE, <u32>((x >> 23) & 255));
      count(scratch + 2 * LANE, <u32>((x >> 39) & 255));
      count(scratch + 3 * LANE, <u32>((x >> 55) & 255));
      count(scratch, <u32>((y >> 7) & 255));
      count(scratch + LANE, <u32>((y >> 23) & 255));
      count(scratch + 2 * LANE, <u32>((y >> 39) & 255));
      count(scratch + 3 * LANE, <u32>((y >> 55) & 255));
      src += 16;
    }
  } else if (width == 4) {
    while (src < wide) {
      const x = load<u64>(src);
      const y = load<u64>(src, 8);
      count(scratch, <u32>((x >> 23) & 255));
      count(scratch + LANE, <u32>((x >> 55) & 255));
      count(scratch + 2 * LANE, <u32>((y >> 23) & 255));
      count(scratch + 3 * LANE, <u32>((y >> 55) & 255));
      src += 16;
    }
  }
  while (src < end) {
    const top = load<u16>(src + <usize>width - 2);
    count(scratch, (top >> 7) & 255);
    src += <usize>width;
  }
  addTables(counts, scratch);
}

/** Sets byte c at `seen` for every 16-bit element c. */
export function markCodes(src: usize, elements: i32, seen: usize): void {
  const end = src + (<usize>elements << 1);
  const wide = src + ((<usize>elements << 1) & ~7);
  while (src < wide) {
    const x = load<u64>(src);
    store<u8>(seen + <usize>(x & 0xffff), 1);
    store<u8>(seen + <usize>((x >> 16) & 0xffff), 1);
    store<u8>(seen + <usize>((x >> 32) & 0xffff), 1);
    store<u8>(seen + <usize>(x >> 48), 1);
    src += 8;
  }
  while (src < end) {
    store<u8>(seen + <usize>load<u16>(src), 1);
    src += 2;
  }
}
