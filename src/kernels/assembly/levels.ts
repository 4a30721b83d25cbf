// Blocks of values as 4-bit codes of levels with a scale for each block, 16 values a step. Reference:
// ../quantize/block-floats.ts.
import { bytesBelow, bytesOf, four, storePacked } from './lanes';
import { addOdd, addSums, keepLargest, lanesBelow, largestOf, squaresOf, withRelatives } from './sums';

/** How many of `count` rising borders (f32, each four times) lie below. */
// @ts-ignore: decorator
@inline
function aboveBorders(x: v128, borders: usize, count: usize): v128 {
  let code = i32x4.splat(0);
  for (let i: usize = 0; i < count; i++) code = i32x4.sub(code, f32x4.gt(x, v128.load(borders + (i << 4))));
  return code;
}

/** How a block is scaled: by its largest magnitude, by a power of two, or not at all. */
const LARGEST = 0;
const POWER = 1;
const NONE = 2;

/** Codes of 4 bits: places among 16 levels or, with the sign above them, among 8 magnitudes. */
// @ts-ignore: decorator
@inline
function codesOf(x: v128, borders: usize, kind: i32): v128 {
  if (kind != POWER) return aboveBorders(x, borders, 15);
  const sign = v128.and(i32x4.shr_u(x, 28), i32x4.splat(8));
  return v128.or(aboveBorders(f32x4.abs(x), borders, 7), sign);
}

/** 2^(exponent − 2) and at least 2^-127, where the largest magnitude of a block has the exponent. */
// @ts-ignore: decorator
@inline
function powerOf(largest: v128): v128 {
  const power = (i32x4.extract_lane(largest, 0) >> 23) - 2;
  return i32x4.splat(power > 0 ? power << 23 : 1 << 22);
}

// @ts-ignore: decorator
@inline
function levels16(
  src: usize,
  count: i32,
  block: i32,
  borders: usize,
  levels: usize,
  dst: usize,
  scales: usize,
  sums: usize,
  kind: i32,
): void {
  const none = f32x4.splat(0);
  const bytes0 = v128.load(levels);
  const bytes1 = v128.load(levels, 16);
  const bytes2 = v128.load(levels, 32);
  const bytes3 = v128.load(levels, 48);
  for (let first = 0; first < count; first += block, scales += 4) {
    const length = min(block, count - first);
    const from = src + (<usize>first << 2);
    let size = none;
    let odd = none;
    for (let i = 0; i < length; i += 4) {
      const x = four(from + (<usize>i << 2), length - i);
      size = f32x4.pmax(size, f32x4.abs(x));
      odd = f32x4.add(odd, f32x4.sub(x, x));
    }
    size = f32x4.pmax(size, v128.shuffle<i32>(size, size, 2, 3, 0, 1));
    size = f32x4.pmax(size, v128.shuffle<i32>(size, size, 1, 0, 3, 2));
    if (kind == POWER) size = powerOf(size);
    if (kind == NONE) size = f32x4.splat(1);
    const empty = f32x4.eq(size, none);
    let squares = none;
    let aa = none;
    let bb = none;
    let most = none;
    let relative = f32x4.splat(<f32>load<f64>(sums, 32));
    let to = dst + (<usize>first >> 1);
    for (let i = 0; i < length; i += 16, to += 8) {
      const at = from + (<usize>i << 2);
      const left = length - i;
      const x0 = four(at, left);
      const x1 = four(at + 16, left - 4);
      const x2 = four(at + 32, left - 8);
      const x3 = four(at + 48, left - 12);
      const codes = bytesOf(
        codesOf(v128.andnot(f32x4.div(x0, size), empty), borders, kind),
        codesOf(v128.andnot(f32x4.div(x1, size), empty), borders, kind),
        codesOf(v128.andnot(f32x4.div(x2, size), empty), borders, kind),
        codesOf(v128.andnot(f32x4.div(x3, size), empty), borders, kind),
      );
      storePacked(to, v128.and(codes, bytesBelow(left)), 4);
      // The bytes of each level, put side by side again.
      const p0 = i8x16.swizzle(bytes0, codes);
      const p1 = i8x16.swizzle(bytes1, codes);
      const p2 = i8x16.swizzle(bytes2, codes);
      const p3 = i8x16.swizzle(bytes3, codes);
      const low = v128.shuffle<i8>(p0, p1, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const high = v128.shuffle<i8>(p2, p3, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const low2 = v128.shuffle<i8>(p0, p1, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const high2 = v128.shuffle<i8>(p2, p3, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const b0 = v128.and(f32x4.mul(v128.shuffle<i16>(low, high, 0, 8, 1, 9, 2, 10, 3, 11), size), lanesBelow(left));
      const b1 = v128.and(f32x4.mul(v128.shuffle<i16>(low, high, 4, 12, 5, 13, 6, 14, 7, 15), size), lanesBelow(left - 4));
      const b2 = v128.and(f32x4.mul(v128.shuffle<i16>(low2, high2, 0, 8, 1, 9, 2, 10, 3, 11), size), lanesBelow(left - 8));
      const b3 = v128.and(f32x4.mul(v128.shuffle<i16>(low2, high2, 4, 12, 5, 13, 6, 14, 7, 15), size), lanesBelow(left - 12));
      const e0 = f32x4.abs(f32x4.sub(x0, b0));
      const e1 = f32x4.abs(f32x4.sub(x1, b1));
      const e2 = f32x4.abs(f32x4.sub(x2, b2));
      const e3 = f32x4.abs(f32x4.sub(x3, b3));
      squares = f32x4.add(squares, squaresOf(e0, e1, e2, e3));
      aa = f32x4.add(aa, squaresOf(x0, x1, x2, x3));
      bb = f32x4.add(bb, squaresOf(b0, b1, b2, b3));
      most = f32x4.pmax(most, largestOf(e0, e1, e2, e3));
      relative = withRelatives(relative, e0, e1, e2, e3, x0, x1, x2, x3);
    }
    if (kind != NONE) store<f32>(scales, f32x4.extract_lane(size, 0));
    addSums(sums, squares, aa, bb);
    keepLargest(sums, most, relative);
    addOdd(sums, odd);
  }
}

/**
 * `count` values in blocks of `block` (a multiple of 16; the last may be shorter), each divided by the largest magnitude of
 * its block, as the nearest of 16 levels: 4-bit codes at `dst`, the magnitudes (f32) at `scales`. `borders`: as
 * `aboveBorders` takes them; `levels`: 16 f32, byte by byte (the lowest bytes of all, then the next). Errors are added to
 * `sums` as by `nbitsBlock`.
 */
export function levelsRun(
  src: usize,
  count: i32,
  block: i32,
  borders: usize,
  levels: usize,
  dst: usize,
  scales: usize,
  sums: usize,
): void {
  levels16(src, count, block, borders, levels, dst, scales, sums, LARGEST);
}

/**
 * The same by powers of two: each value divided by 2^(exponent − 2) of the largest magnitude of its block (E8M0), as a sign and
 * the nearest of 8 levels (E2M1), 7 borders. The powers are at `scales`.
 */
export function powerLevelsRun(
  src: usize,
  count: i32,
  block: i32,
  borders: usize,
  levels: usize,
  dst: usize,
  scales: usize,
  sums: usize,
): void {
  levels16(src, count, block, borders, levels, dst, scales, sums, POWER);
}

/** Values as the nearest of 16 levels that are those of a codebook: 4-bit codes at `dst`, borders and errors as by `levelsRun`. */
export function codebookRun(src: usize, count: i32, borders: usize, levels: usize, dst: usize, sums: usize): void {
  // Blocks so that sums of f32 stay short.
  levels16(src, count, 1024, borders, levels, dst, 0, sums, NONE);
}
