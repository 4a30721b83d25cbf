// Selection by magnitude, and zeroing below one. A magnitude is the bits of a float without its sign: as an unsigned
// number it has the order of the absolute values, infinity and then NaN at the end. Reference: ../reference/prune.ts.

/** Four magnitudes of f32. */
// @ts-ignore: decorator
@inline
function magnitudes4(at: usize): v128 {
  return v128.and(v128.load(at), i32x4.splat(0x7fffffff));
}

/**
 * Counts 16-bit digits of the magnitudes whose bits above the digit are `prefix`. `shift`: where the digit begins.
 * `counts`: 65536 u32, added to.
 */
export function magnitudeDigits32(src: usize, count: i32, shift: i32, prefix: i64, counts: usize): void {
  const whole = count & ~3;
  const end = src + (<usize>whole << 2);
  if (shift == 16) {
    while (src < end) {
      const digits = i32x4.shr_u(magnitudes4(src), 16);
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
    const same = i32x4.eq(i32x4.shr_u(magnitudes4(src), 16), tops);
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
  const wanted = i32x4.splat(<i32>magnitude);
  let less = i32x4.splat(0);
  let same = less;
  while (src < end) {
    const x = magnitudes4(src);
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

/**
 * Counts the magnitudes from `from` on, 65536 of them, by their distance from it. `counts`: 65536 u32, added to. Writes
 * a u32 at `out`: how many elements have a smaller magnitude than `from`.
 */
export function nearMagnitudes32(src: usize, count: i32, from: i64, counts: usize, out: usize): void {
  const whole = count & ~3;
  const end = src + (<usize>whole << 2);
  const first = i32x4.splat(<i32>from);
  const zero = i32x4.splat(0);
  let less = zero;
  while (src < end) {
    const x = magnitudes4(src);
    less = i32x4.sub(less, i32x4.lt_s(x, first));
    if (v128.any_true(i32x4.eq(i32x4.shr_u(i32x4.sub(x, first), 16), zero)))
      for (let i = 0; i < 16; i += 4) countNear(load<u32>(src + i), <u32>from, counts);
    src += 16;
  }
  let below = total4(less);
  for (let i = whole; i < count; i++, src += 4) {
    const bits = load<u32>(src);
    below += i32((bits & 0x7fffffff) < <u32>from);
    countNear(bits, <u32>from, counts);
  }
  store<u32>(out, below);
}

// @ts-ignore: decorator
@inline
function countNear(bits: u32, from: u32, counts: usize): void {
  const distance = (bits & 0x7fffffff) - from;
  if (distance < 65536) countAt(counts, <i32>distance);
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

/** The size of an element: its bits without the sign. What is past infinity counts as infinite in f64. */
// @ts-ignore: decorator
@inline
function sizeAt<T>(at: usize): u64 {
  if (sizeof<T>() == 2) return <u64>(load<u16>(at) & 0x7fff);
  if (sizeof<T>() == 4) return <u64>(load<u32>(at) & 0x7fffffff);
  return min<u64>(load<u64>(at) & 0x7fffffffffffffff, 0x7ff0000000000000);
}

/**
 * One group of `rows` elements, `step` bytes apart: the `gone` smallest become zero, of equal ones those in front. `sizes`:
 * room for a group, 8 bytes an element.
 */
// @ts-ignore: decorator
@inline
function groupOf<T>(src: usize, rows: i32, step: usize, gone: i32, sizes: usize): void {
  for (let i = 0; i < rows; i++) store<u64>(sizes + (<usize>i << 3), sizeAt<T>(src + <usize>i * step));
  for (let i = 0; i < rows; i++) {
    const own = load<u64>(sizes + (<usize>i << 3));
    // How many go first: smaller ones, and equal ones in front.
    let rank = 0;
    for (let j = 0; j < i; j++) rank += i32(load<u64>(sizes + (<usize>j << 3)) <= own);
    for (let j = i + 1; j < rows; j++) rank += i32(load<u64>(sizes + (<usize>j << 3)) < own);
    if (rank < gone || own == 0) store<T>(src + <usize>i * step, <T>0);
  }
}

/** Whole groups of `many` elements side by side, of which the `keep` largest stay. */
// @ts-ignore: decorator
@inline
function pattern<T>(src: usize, count: i32, keep: i32, many: i32, sizes: usize): void {
  const end = src + <usize>count * sizeof<T>();
  for (; src < end; src += <usize>many * sizeof<T>()) groupOf<T>(src, many, sizeof<T>(), many - keep, sizes);
}

export function pattern16(src: usize, count: i32, keep: i32, many: i32, sizes: usize): void {
  pattern<u16>(src, count, keep, many, sizes);
}

export function pattern32(src: usize, count: i32, keep: i32, many: i32, sizes: usize): void {
  if (many == 4) pattern32Of4(src, count, keep, sizes);
  else pattern<u32>(src, count, keep, many, sizes);
}

export function pattern64(src: usize, count: i32, keep: i32, many: i32, sizes: usize): void {
  pattern<u64>(src, count, keep, many, sizes);
}

/** Four groups of four at a time: lane k of x0 to x3 is group k. The last ones may be fewer. */
function pattern32Of4(src: usize, count: i32, keep: i32, sizes: usize): void {
  const end = src + (<usize>(count & ~15) << 2);
  const size = i32x4.splat(0x7fffffff);
  const gone = i32x4.splat(4 - keep);
  while (src < end) {
    const a = v128.load(src);
    const b = v128.load(src, 16);
    const c = v128.load(src, 32);
    const d = v128.load(src, 48);
    const ab0 = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
    const ab1 = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
    const cd0 = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
    const cd1 = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
    const x0 = v128.and(v128.shuffle<i64>(ab0, cd0, 0, 2), size);
    const x1 = v128.and(v128.shuffle<i64>(ab0, cd0, 1, 3), size);
    const x2 = v128.and(v128.shuffle<i64>(ab1, cd1, 0, 2), size);
    const x3 = v128.and(v128.shuffle<i64>(ab1, cd1, 1, 3), size);
    // Minus one where the first goes before the second: then it is in front of it in the ranking.
    const m01 = i32x4.le_s(x0, x1);
    const m02 = i32x4.le_s(x0, x2);
    const m03 = i32x4.le_s(x0, x3);
    const m12 = i32x4.le_s(x1, x2);
    const m13 = i32x4.le_s(x1, x3);
    const m23 = i32x4.le_s(x2, x3);
    // Ranks: 3 less those that it goes before, and so on.
    const r0 = i32x4.add(i32x4.splat(3), i32x4.add(m01, i32x4.add(m02, m03)));
    const r1 = i32x4.add(i32x4.sub(i32x4.splat(2), m01), i32x4.add(m12, m13));
    const r2 = i32x4.sub(i32x4.add(i32x4.splat(1), m23), i32x4.add(m02, m12));
    const r3 = i32x4.sub(i32x4.splat(0), i32x4.add(m03, i32x4.add(m13, m23)));
    const zero = i32x4.splat(0);
    const k0 = v128.and(i32x4.ge_s(r0, gone), i32x4.ne(x0, zero));
    const k1 = v128.and(i32x4.ge_s(r1, gone), i32x4.ne(x1, zero));
    const k2 = v128.and(i32x4.ge_s(r2, gone), i32x4.ne(x2, zero));
    const k3 = v128.and(i32x4.ge_s(r3, gone), i32x4.ne(x3, zero));
    const k01l = v128.shuffle<i32>(k0, k1, 0, 4, 1, 5);
    const k01h = v128.shuffle<i32>(k0, k1, 2, 6, 3, 7);
    const k23l = v128.shuffle<i32>(k2, k3, 0, 4, 1, 5);
    const k23h = v128.shuffle<i32>(k2, k3, 2, 6, 3, 7);
    v128.store(src, v128.and(a, v128.shuffle<i64>(k01l, k23l, 0, 2)));
    v128.store(src, v128.and(b, v128.shuffle<i64>(k01l, k23l, 1, 3)), 16);
    v128.store(src, v128.and(c, v128.shuffle<i64>(k01h, k23h, 0, 2)), 32);
    v128.store(src, v128.and(d, v128.shuffle<i64>(k01h, k23h, 1, 3)), 48);
    src += 64;
  }
  pattern<u32>(src, count & 15, keep, 4, sizes);
}

/**
 * Whole groups along an axis, in place: rows of `length` elements that lie `stride` elements apart; the first element of
 * the block is in row `row` of its axis, where groups begin. Those that the end of the axis cuts short keep as many.
 */
// @ts-ignore: decorator
@inline
function patternAlong<T>(
  src: usize,
  count: i32,
  row: i32,
  length: i32,
  stride: i32,
  keep: i32,
  many: i32,
  sizes: usize,
): void {
  const step = <usize>stride * sizeof<T>();
  const end = src + <usize>count * sizeof<T>();
  while (src < end) {
    const rows = min(many, length - row);
    let lane = 0;
    if (sizeof<T>() < 8)
      for (; lane + <i32>(16 / sizeof<T>()) <= stride; lane += <i32>(16 / sizeof<T>()))
        groupsOf<T>(src + <usize>lane * sizeof<T>(), rows, step, rows - keep, sizes);
    for (; lane < stride; lane++) groupOf<T>(src + <usize>lane * sizeof<T>(), rows, step, rows - keep, sizes);
    src += <usize>rows * step;
    row += rows;
    if (row == length) row = 0;
  }
}

/** A group in each lane of a vector of two- or four-byte elements. */
// @ts-ignore: decorator
@inline
function groupsOf<T>(src: usize, rows: i32, step: usize, gone: i32, sizes: usize): void {
  const zero = i32x4.splat(0);
  const size = sizeof<T>() == 2 ? i16x8.splat(0x7fff) : i32x4.splat(0x7fffffff);
  for (let i = 0; i < rows; i++)
    v128.store(sizes + (<usize>i << 4), v128.and(v128.load(src + <usize>i * step), size));
  for (let i = 0; i < rows; i++) {
    const own = v128.load(sizes + (<usize>i << 4));
    // Less as many as go first: true is minus one.
    let rank = zero;
    for (let j = 0; j < i; j++) {
      const other = v128.load(sizes + (<usize>j << 4));
      rank =
        sizeof<T>() == 2 ? i16x8.add(rank, i16x8.le_s(other, own)) : i32x4.add(rank, i32x4.le_s(other, own));
    }
    for (let j = i + 1; j < rows; j++) {
      const other = v128.load(sizes + (<usize>j << 4));
      rank =
        sizeof<T>() == 2 ? i16x8.add(rank, i16x8.lt_s(other, own)) : i32x4.add(rank, i32x4.lt_s(other, own));
    }
    const stays =
      sizeof<T>() == 2
        ? v128.and(i16x8.le_s(rank, i16x8.splat(<i16>-gone)), i16x8.ne(own, zero))
        : v128.and(i32x4.le_s(rank, i32x4.splat(-gone)), i32x4.ne(own, zero));
    const at = src + <usize>i * step;
    v128.store(at, v128.and(v128.load(at), stays));
  }
}

export function patternAlong16(
  src: usize,
  count: i32,
  row: i32,
  length: i32,
  stride: i32,
  keep: i32,
  many: i32,
  sizes: usize,
): void {
  patternAlong<u16>(src, count, row, length, stride, keep, many, sizes);
}

export function patternAlong32(
  src: usize,
  count: i32,
  row: i32,
  length: i32,
  stride: i32,
  keep: i32,
  many: i32,
  sizes: usize,
): void {
  patternAlong<u32>(src, count, row, length, stride, keep, many, sizes);
}

export function patternAlong64(
  src: usize,
  count: i32,
  row: i32,
  length: i32,
  stride: i32,
  keep: i32,
  many: i32,
  sizes: usize,
): void {
  patternAlong<u64>(src, count, row, length, stride, keep, many, sizes);
}
