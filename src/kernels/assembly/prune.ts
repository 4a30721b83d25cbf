// Selection by magnitude, and zeroing below one. A magnitude is the bits of a float without its sign: as an unsigned
// number it has the order of the absolute values, infinity and then NaN at the end. Reference: ../reference/prune.ts.

/**
 * Counts 16-bit digits of the magnitudes whose bits above the digit are `prefix`. `shift`: where the digit begins.
 * `counts`: 65536 u32, added to.
 */
export function magnitudeDigits32(src: usize, count: i32, shift: i32, prefix: i64, counts: usize): void {
  const whole = count & ~3;
  const end = src + (<usize>whole << 2);
  const size = i32x4.splat(0x7fffffff);
  if (shift == 16) {
    while (src < end) {
      const digits = i32x4.shr_u(v128.and(v128.load(src), size), 16);
      countAt(counts, i32x4.extract_lane(digits, 0));
      countAt(counts, i32x4.extract_lane(digits, 1));
      countAt(counts, i32x4.extract_lane(digits, 2));
      countAt(counts, i32x4.extract_lane(digits, 3));
      src += 16;
    }
    for (let i = whole; i < count; i++, src += 4) countAt(counts, (load<u32>(src) & 0x7fffffff) >>> 16);
    return;
  }
  const top = <i32>prefix;
  const tops = i32x4.splat(top);
  while (src < end) {
    const magnitudes = v128.and(v128.load(src), size);
    const same = i32x4.eq(i32x4.shr_u(magnitudes, 16), tops);
    if (v128.any_true(same))
      for (let i = 0; i < 16; i += 4) digitOf32(load<u32>(src + i), top, counts);
    src += 16;
  }
  for (let i = whole; i < count; i++, src += 4) digitOf32(load<u32>(src), top, counts);
}

// @ts-ignore: decorator
@inline
function countAt(counts: usize, digit: i32): void {
  const at = counts + (<usize>digit << 2);
  store<u32>(at, load<u32>(at) + 1);
}

// @ts-ignore: decorator
@inline
function digitOf32(bits: u32, top: i32, counts: usize): void {
  const magnitude = bits & 0x7fffffff;
  if (<i32>(magnitude >>> 16) == top) countAt(counts, magnitude & 0xffff);
}

/** The same for f64; digits of bits 48, 32, 16 and 0. */
export function magnitudeDigits64(src: usize, count: i32, shift: i32, prefix: i64, counts: usize): void {
  const end = src + (<usize>count << 3);
  const above = <u64>(shift + 16);
  for (; src < end; src += 8) {
    const magnitude = load<u64>(src) & 0x7fffffffffffffff;
    // A shift by 64 is one by 0.
    const top = shift == 48 ? 0 : magnitude >>> above;
    if (top == <u64>prefix) countAt(counts, <i32>((magnitude >>> <u64>shift) & 0xffff));
  }
}

/** Writes two u32 at `out`: how many elements have a smaller magnitude, and how many exactly this one. */
export function countMagnitudes32(src: usize, count: i32, magnitude: i64, out: usize): void {
  const whole = count & ~3;
  const end = src + (<usize>whole << 2);
  const size = i32x4.splat(0x7fffffff);
  const wanted = i32x4.splat(<i32>magnitude);
  let less = i32x4.splat(0);
  let same = less;
  while (src < end) {
    const x = v128.and(v128.load(src), size);
    less = i32x4.sub(less, i32x4.lt_s(x, wanted));
    same = i32x4.sub(same, i32x4.eq(x, wanted));
    src += 16;
  }
  let below = total4(less);
  let equal = total4(same);
  for (let i = whole; i < count; i++, src += 4) {
    const x = <i64>(load<u32>(src) & 0x7fffffff);
    below += i32(x < magnitude);
    equal += i32(x == magnitude);
  }
  store<u32>(out, below);
  store<u32>(out, equal, 4);
}

// @ts-ignore: decorator
@inline
function total4(x: v128): i32 {
  return i32x4.extract_lane(x, 0) + i32x4.extract_lane(x, 1) + i32x4.extract_lane(x, 2) + i32x4.extract_lane(x, 3);
}

export function countMagnitudes64(src: usize, count: i32, magnitude: i64, out: usize): void {
  const end = src + (<usize>count << 3);
  let below = 0;
  let equal = 0;
  for (; src < end; src += 8) {
    const x = load<i64>(src) & 0x7fffffffffffffff;
    below += i32(x < magnitude);
    equal += i32(x == magnitude);
  }
  store<u32>(out, below);
  store<u32>(out, equal, 4);
}

/** Elements of a smaller magnitude become +0, in place. */
export function zeroBelow16(src: usize, count: i32, magnitude: i64): void {
  const whole = count & ~7;
  const end = src + (<usize>whole << 1);
  const size = i16x8.splat(0x7fff);
  const limit = i16x8.splat(<i16>magnitude);
  while (src < end) {
    const x = v128.load(src);
    // Unsigned: 0x8000 is above all magnitudes.
    v128.store(src, v128.andnot(x, i16x8.lt_u(v128.and(x, size), limit)));
    src += 16;
  }
  for (let i = whole; i < count; i++, src += 2)
    if (<u64>(load<u16>(src) & 0x7fff) < <u64>magnitude) store<u16>(src, 0);
}

export function zeroBelow32(src: usize, count: i32, magnitude: i64): void {
  const whole = count & ~3;
  const end = src + (<usize>whole << 2);
  const size = i32x4.splat(0x7fffffff);
  const limit = i32x4.splat(<i32>magnitude);
  while (src < end) {
    const x = v128.load(src);
    v128.store(src, v128.andnot(x, i32x4.lt_u(v128.and(x, size), limit)));
    src += 16;
  }
  for (let i = whole; i < count; i++, src += 4)
    if (<u64>(load<u32>(src) & 0x7fffffff) < <u64>magnitude) store<u32>(src, 0);
}

export function zeroBelow64(src: usize, count: i32, magnitude: i64): void {
  const end = src + (<usize>count << 3);
  for (; src < end; src += 8)
    if ((load<u64>(src) & 0x7fffffffffffffff) < <u64>magnitude) store<u64>(src, 0);
}
