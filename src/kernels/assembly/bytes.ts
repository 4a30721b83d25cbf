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

/** Adds the counts of the byte values to 256 u32 at `counts`. Four tables, so that equal neighbours do not wait. */
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
  for (let i: usize = 0; i < LANE; i += 16) {
    const low = i32x4.add(v128.load(scratch + i), v128.load(scratch + LANE + i));
    const high = i32x4.add(v128.load(scratch + 2 * LANE + i), v128.load(scratch + 3 * LANE + i));
    v128.store(counts + i, i32x4.add(v128.load(counts + i), i32x4.add(low, high)));
  }
}

// @ts-ignore: decorator
@inline
function count(table: usize, value: u32): void {
  const at = table + (<usize>value << 2);
  store<u32>(at, load<u32>(at) + 1);
}
