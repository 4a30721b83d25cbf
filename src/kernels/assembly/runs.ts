// Blocks of values that lie side by side as integers, by the rule of MatMulNBits. Reference: ../quantize/rounder.ts. 16 values a
// step: callers keep room for as many more behind all areas.
import { bytesBelow, bytesOf, four, storePacked } from './lanes';
import { addOdd, addSums, keepLargest, lanesBelow, largestOf, squaresOf, withRelatives } from './sums';

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
