// Blocks of values that lie side by side: as integers by the rule of MatMulNBits, and as the nearest of 16 levels.
// References: ../quantize/rounder.ts, ../quantize/block-floats.ts. 16 values a step: callers keep room for as many more
// behind all areas.
import { addOdd, addSums, keepLargest, lanesBelow, largestOf, squaresOf, withRelatives } from './sums';

/** Four values, those from `count` on zero. */
// @ts-ignore: decorator
@inline
function four(at: usize, count: i32): v128 {
  return v128.and(v128.load(at), lanesBelow(count));
}

/** Bytes below 2^bits as they are stored, low bits first: neighbours are put together once (4 bits) or twice (2). */
// @ts-ignore: decorator
@inline
function storePacked(to: usize, bytes: v128, bits: i32): void {
  if (bits == 8) {
    v128.store(to, bytes);
    return;
  }
  const low = i16x8.splat(0xff);
  const pairs = v128.and(v128.or(bytes, i16x8.shr_u(bytes, 8 - bits)), low);
  const once = i8x16.narrow_i16x8_u(pairs, pairs);
  if (bits == 4) {
    v128.store64_lane(to, once, 0);
    return;
  }
  const fours = v128.and(v128.or(once, i16x8.shr_u(once, 8 - 2 * bits)), low);
  v128.store32_lane(to, i8x16.narrow_i16x8_u(fours, fours), 0);
}

// @ts-ignore: decorator
@inline
function bytesBelow(count: i32): v128 {
  const places = i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return i8x16.lt_s(places, i8x16.splat(<i8>min(count, 16)));
}

/**
 * Codes as numbers: halves away from zero, below zero everything becomes zero. The reciprocal of the smallest numbers is
 * infinite: zero times it is no number, and becomes the integer 0, which is `origin` as a code.
 */
// @ts-ignore: decorator
@inline
function rounded(x: v128, factor: v128, zero: v128, top: v128, origin: v128): v128 {
  const sum = f32x4.add(f32x4.mul(x, factor), zero);
  const whole = f32x4.floor(sum);
  const up = v128.and(f32x4.ge(f32x4.sub(sum, whole), f32x4.splat(0.5)), f32x4.splat(1));
  const code = f32x4.pmin(f32x4.pmax(f32x4.add(whole, up), f32x4.splat(0)), top);
  return v128.bitselect(code, origin, f32x4.eq(code, code));
}

// @ts-ignore: decorator
@inline
function asStored(code: v128, flip: v128): v128 {
  return v128.xor(i32x4.trunc_sat_f32x4_s(code), flip);
}

/** 16 codes, four to a vector. */
// @ts-ignore: decorator
@inline
function bytesOf(a: v128, b: v128, c: v128, d: v128): v128 {
  return i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_u(a, b), i16x8.narrow_i32x4_u(c, d));
}

/** Low bits (4 or 2) of bytes that lie side by side. `dst` may be `src`. */
export function packBytes(src: usize, count: i32, bits: i32, dst: usize): void {
  const mask = i8x16.splat((<i8>1 << <i8>bits) - 1);
  for (let i = 0, to = dst; i < count; i += 16, to += 2 * bits) storePacked(to, v128.and(v128.load(src + i), mask), bits);
}

/**
 * `count` values in blocks of `block` (a multiple of 16; the last may be shorter): codes at `dst`, a scale (f32) and a zero
 * point (a byte) for each block. `flip` is the bit that makes signed integers of codes: 0, or the highest one. Errors are
 * added to `sums` as by `nbitsBlock`.
 */
export function nbitsRun(
  src: usize,
  count: i32,
  block: i32,
  bits: i32,
  symmetric: i32,
  flip: i32,
  dst: usize,
  scales: usize,
  zeros: usize,
  sums: usize,
): void {
  const none = f32x4.splat(0);
  const highest = <f32>((1 << bits) - 1);
  const top = f32x4.splat(highest);
  const middle = <f32>(1 << (bits - 1));
  const turn = i32x4.splat(flip);
  const origin = f32x4.splat(<f32>flip);
  for (let first = 0; first < count; first += block, scales += 4, zeros++) {
    const length = min(block, count - first);
    const from = src + (<usize>first << 2);
    let a = v128.load32_splat(from);
    let b = a;
    let odd = none;
    for (let i = 0; i < length; i += 4) {
      // Past the end stands what is first, which changes nothing.
      const x = v128.bitselect(v128.load(from + (<usize>i << 2)), v128.load32_splat(from), lanesBelow(length - i));
      a = f32x4.pmin(a, x);
      b = f32x4.pmax(b, x);
      odd = f32x4.add(odd, f32x4.sub(x, x));
    }
    a = f32x4.pmin(a, v128.shuffle<i32>(a, a, 2, 3, 0, 1));
    a = f32x4.pmin(a, v128.shuffle<i32>(a, a, 1, 0, 3, 2));
    b = f32x4.pmax(b, v128.shuffle<i32>(b, b, 2, 3, 0, 1));
    b = f32x4.pmax(b, v128.shuffle<i32>(b, b, 1, 0, 3, 2));
    const low = f32x4.extract_lane(a, 0);
    const high = f32x4.extract_lane(b, 0);
    let scale: f32;
    let zero = middle;
    if (symmetric) scale = (abs(high) > abs(low) ? high : low) / -middle;
    else {
      const bottom = min(low, <f32>0);
      scale = (max(high, <f32>0) - bottom) / highest;
      const exact = -bottom / scale;
      const whole = floor(exact);
      zero = scale == 0 ? 0 : min(max(exact - whole >= 0.5 ? whole + 1 : whole, <f32>0), highest);
    }
    const factor = f32x4.splat(scale == 0 ? 0 : <f32>1 / scale);
    const steps = f32x4.splat(scale);
    const zeroes = f32x4.splat(zero);
    let squares = none;
    let aa = none;
    let bb = none;
    let most = none;
    let relative = f32x4.splat(<f32>load<f64>(sums, 32));
    let to = dst + ((<usize>first * bits) >> 3);
    for (let i = 0; i < length; i += 16, to += 2 * bits) {
      const at = from + (<usize>i << 2);
      const left = length - i;
      const x0 = four(at, left);
      const x1 = four(at + 16, left - 4);
      const x2 = four(at + 32, left - 8);
      const x3 = four(at + 48, left - 12);
      const q0 = rounded(x0, factor, zeroes, top, origin);
      const q1 = rounded(x1, factor, zeroes, top, origin);
      const q2 = rounded(x2, factor, zeroes, top, origin);
      const q3 = rounded(x3, factor, zeroes, top, origin);
      const bytes = bytesOf(asStored(q0, turn), asStored(q1, turn), asStored(q2, turn), asStored(q3, turn));
      storePacked(to, v128.and(bytes, bytesBelow(left)), bits);
      const b0 = v128.and(f32x4.mul(f32x4.sub(q0, zeroes), steps), lanesBelow(left));
      const b1 = v128.and(f32x4.mul(f32x4.sub(q1, zeroes), steps), lanesBelow(left - 4));
      const b2 = v128.and(f32x4.mul(f32x4.sub(q2, zeroes), steps), lanesBelow(left - 8));
      const b3 = v128.and(f32x4.mul(f32x4.sub(q3, zeroes), steps), lanesBelow(left - 12));
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
    store<f32>(scales, scale);
    store<u8>(zeros, <u8>(<i32>zero ^ flip));
    addSums(sums, squares, aa, bb);
    keepLargest(sums, most, relative);
    addOdd(sums, odd);
  }
}

/** How many of 15 rising borders (f32, each four times) lie below. */
// @ts-ignore: decorator
@inline
function aboveBorders(x: v128, borders: usize): v128 {
  let code = i32x4.splat(0);
  for (let i: usize = 0; i < 15; i++) code = i32x4.sub(code, f32x4.gt(x, v128.load(borders + (i << 4))));
  return code;
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
        aboveBorders(v128.andnot(f32x4.div(x0, size), empty), borders),
        aboveBorders(v128.andnot(f32x4.div(x1, size), empty), borders),
        aboveBorders(v128.andnot(f32x4.div(x2, size), empty), borders),
        aboveBorders(v128.andnot(f32x4.div(x3, size), empty), borders),
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
    store<f32>(scales, f32x4.extract_lane(size, 0));
    addSums(sums, squares, aa, bb);
    keepLargest(sums, most, relative);
    addOdd(sums, odd);
  }
}

/** A matrix of f32, rows `stride` bytes apart, with its axes turned: a column after the other, `rows` values each. */
export function turnF32(src: usize, stride: usize, rows: i32, columns: i32, dst: usize): void {
  const height = <usize>rows << 2;
  const whole = rows & ~3;
  for (let column = 0; column < columns; column += 4) {
    const wide = min(4, columns - column);
    let from = src + (<usize>column << 2);
    let to = dst + <usize>column * height;
    for (let row = 0; row < whole; row += 4, from += 4 * stride, to += 16) {
      const a = v128.load(from);
      const b = v128.load(from + stride);
      const c = v128.load(from + 2 * stride);
      const d = v128.load(from + 3 * stride);
      const ab = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
      const cd = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
      v128.store(to, v128.shuffle<i64>(ab, cd, 0, 2));
      if (wide == 1) continue;
      v128.store(to + height, v128.shuffle<i64>(ab, cd, 1, 3));
      if (wide == 2) continue;
      const ab2 = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
      const cd2 = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
      v128.store(to + 2 * height, v128.shuffle<i64>(ab2, cd2, 0, 2));
      if (wide == 3) continue;
      v128.store(to + 3 * height, v128.shuffle<i64>(ab2, cd2, 1, 3));
    }
    for (let row = whole; row < rows; row++, from += stride, to += 4)
      for (let i = 0; i < wide; i++) store<f32>(to + <usize>i * height, load<f32>(from + (<usize>i << 2)));
  }
}
