// Blocks of a matrix as integers in the layout of MatMulNBits, four columns a step. Reference: ../quantize/rounder.ts
// and nbits-pack.ts. A last partial step reads and writes up to three columns more: callers keep room behind all areas.
import { asymmetricScales, factors, heldScales, storeScales, storeWords, symmetricScales, zeroPoints } from './column-blocks';
import { nbits4Columns } from './nbits4';
import { addOdd, addSums, keepLargest, lanesBelow, withRelative } from './sums';

/** Whole numbers below 2^22, as integers: 2^23 makes them the low bits. */
// @ts-ignore: decorator
@inline
function small(x: v128): v128 {
  return v128.and(f32x4.add(x, f32x4.splat(8388608)), i32x4.splat(0x7fffff));
}

/**
 * Quantizes `rows` × `columns` f32 values, a row `stride` bytes after the other, as one block of each column: codes at
 * `out` (a column `outStride` bytes after the other), scales and zero points at `scales` and `zeros` (a column
 * `blocks` of them after the other). `half16`: scales have to be numbers of f16. Adds to six doubles at `sums`: Σ(a−b)², Σa², Σb², and keeps there the largest
 * |a−b|, the largest |a−b|÷|a|, and what is NaN once a value was not finite.
 */
export function nbitsBlock(
  src: usize,
  stride: usize,
  rows: i32,
  columns: i32,
  bits: i32,
  symmetric: i32,
  out: usize,
  outStride: usize,
  scales: usize,
  zeros: usize,
  blocks: usize,
  half16: i32,
  sums: usize,
): void {
  const top = f32x4.splat(<f32>((1 << bits) - 1));
  const none = f32x4.splat(0);
  const half = f32x4.splat(0.5);
  const one = f32x4.splat(1);
  const middle = <f32>(1 << (bits - 1));
  const perWord = 32 / bits;
  const fast = bits == 4 && (rows & 7) == 0 ? columns & ~3 : 0;
  nbits4Columns(src, stride, rows, fast, symmetric, out, outStride, scales, zeros, blocks, half16, sums);
  for (let column = fast; column < columns; column += 4) {
    const there = lanesBelow(columns - column);
    const from = src + (<usize>column << 2);
    let low = v128.and(v128.load(from), there);
    let high = low;
    let odd = none;
    for (let row = 0, at = from; row < rows; row++, at += stride) {
      const x = v128.and(v128.load(at), there);
      low = f32x4.pmin(low, x);
      high = f32x4.pmax(high, x);
      odd = f32x4.add(odd, f32x4.sub(x, x));
    }
    let scale: v128;
    let zero: v128;
    let factor: v128;
    // Factors in both branches: behind them, the compiler of V8 made all of the kernel 3 % slower.
    if (symmetric) {
      scale = heldScales(symmetricScales(low, high, middle), half16);
      zero = f32x4.splat(middle);
      factor = factors(scale);
    } else {
      scale = asymmetricScales(low, high, top);
      zero = zeroPoints(low, scale, top);
      scale = heldScales(scale, half16);
      factor = factors(scale);
    }
    let squares = none;
    let aa = none;
    let bb = none;
    let most = none;
    let relative = f32x4.splat(<f32>load<f64>(sums, 32));
    const to = out + <usize>column * outStride;
    let word = i32x4.splat(0);
    let filled = 0;
    let place: usize = 0;
    for (let row = 0, at = from; row < rows; row++, at += stride) {
      const x = v128.and(v128.load(at), there);
      const sum = f32x4.add(f32x4.mul(x, factor), zero);
      const whole = f32x4.floor(sum);
      // Halves away from zero; below zero everything becomes zero.
      const up = v128.and(f32x4.ge(f32x4.sub(sum, whole), half), one);
      const code = f32x4.pmin(f32x4.pmax(f32x4.add(whole, up), none), top);
      word = v128.or(word, i32x4.shl(small(code), filled * bits));
      filled++;
      if (filled == perWord) {
        storeWords(to + place, outStride, word);
        word = i32x4.splat(0);
        filled = 0;
        place += 4;
      }
      const back = f32x4.mul(f32x4.sub(code, zero), scale);
      const error = f32x4.abs(f32x4.sub(x, back));
      squares = f32x4.add(squares, f32x4.mul(error, error));
      aa = f32x4.add(aa, f32x4.mul(x, x));
      bb = f32x4.add(bb, f32x4.mul(back, back));
      most = f32x4.pmax(most, error);
      relative = withRelative(relative, error, x);
    }
    if (filled > 0) storeWords(to + place, outStride, word);
    storeScales(scales, zeros, column, blocks, scale, zero);
    addSums(sums, squares, aa, bb);
    keepLargest(sums, most, relative);
    addOdd(sums, odd);
  }
}

/** Least and greatest value of every column, widened; gives what is NaN if a value was not finite, else 0. */
export function columnEnds(src: usize, rows: i32, columns: i32, low: usize, high: usize): f32 {
  let odd = f32x4.splat(0);
  const stride = <usize>columns << 2;
  for (let column = 0; column < columns; column += 4) {
    const there = lanesBelow(columns - column);
    const at = <usize>column << 2;
    let a = v128.load(low + at);
    let b = v128.load(high + at);
    for (let row = 0, from = src + at; row < rows; row++, from += stride) {
      const x = v128.load(from);
      a = f32x4.pmin(a, x);
      b = f32x4.pmax(b, x);
      odd = f32x4.add(odd, v128.and(f32x4.sub(x, x), there));
    }
    v128.store(low + at, a);
    v128.store(high + at, b);
  }
  return (
    f32x4.extract_lane(odd, 0) + f32x4.extract_lane(odd, 1) + f32x4.extract_lane(odd, 2) + f32x4.extract_lane(odd, 3)
  );
}

/** The same of one run of values: two f32 at `ends`. */
export function rowEnds(src: usize, count: i32, ends: usize): f32 {
  let odd = f32x4.splat(0);
  let a = v128.load32_splat(src);
  let b = a;
  const end = src + (<usize>count << 2);
  let at = src;
  for (; at + 16 <= end; at += 16) {
    const x = v128.load(at);
    a = f32x4.pmin(a, x);
    b = f32x4.pmax(b, x);
    odd = f32x4.add(odd, f32x4.sub(x, x));
  }
  for (; at < end; at += 4) {
    const x = v128.load32_splat(at);
    a = f32x4.pmin(a, x);
    b = f32x4.pmax(b, x);
    odd = f32x4.add(odd, f32x4.sub(x, x));
  }
  let low = f32x4.extract_lane(a, 0);
  let high = f32x4.extract_lane(b, 0);
  for (let lane = 1; lane < 4; lane++) {
    // Lanes cannot be indexed by a variable: turned instead.
    a = v128.shuffle<i32>(a, a, 1, 2, 3, 0);
    b = v128.shuffle<i32>(b, b, 1, 2, 3, 0);
    low = min(low, f32x4.extract_lane(a, 0));
    high = max(high, f32x4.extract_lane(b, 0));
  }
  store<f32>(ends, low);
  store<f32>(ends, high, 4);
  return (
    f32x4.extract_lane(odd, 0) + f32x4.extract_lane(odd, 1) + f32x4.extract_lane(odd, 2) + f32x4.extract_lane(odd, 3)
  );
}

/**
 * A run of values as 8-bit integers: `q = clip(round half even(x / scale) + zero)`. `step` is 4 where every value has a
 * scale and a zero point of its own (f32, side by side), else 0. Errors are added to `sums` as by `nbitsBlock`.
 */
export function linearRow(
  src: usize,
  count: i32,
  scales: usize,
  zeros: usize,
  step: i32,
  low: f32,
  high: f32,
  dst: usize,
  sums: usize,
): void {
  const none = f32x4.splat(0);
  const bottom = f32x4.splat(low);
  const top = f32x4.splat(high);
  let squares = none;
  let aa = none;
  let bb = none;
  let most = none;
  let relative = f32x4.splat(<f32>load<f64>(sums, 32));
  let scale = v128.load32_splat(scales);
  let zero = v128.load32_splat(zeros);
  for (let i = 0; i < count; i += 4) {
    const there = lanesBelow(count - i);
    const x = v128.and(v128.load(src + (<usize>i << 2)), there);
    if (step) {
      scale = v128.load(scales + (<usize>i << 2));
      zero = v128.load(zeros + (<usize>i << 2));
    }
    const whole = f32x4.add(f32x4.nearest(f32x4.div(x, scale)), zero);
    const code = f32x4.pmin(f32x4.pmax(whole, bottom), top);
    // Low bytes are the integers, of either sign.
    const words = f32x4.add(code, f32x4.splat(12582912));
    const bytes = v128.shuffle<i8>(words, words, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
    v128.store32_lane(dst + i, bytes, 0);
    const back = v128.and(f32x4.mul(f32x4.sub(code, zero), scale), there);
    const error = f32x4.abs(f32x4.sub(x, back));
    squares = f32x4.add(squares, f32x4.mul(error, error));
    aa = f32x4.add(aa, f32x4.mul(x, x));
    bb = f32x4.add(bb, f32x4.mul(back, back));
    most = f32x4.pmax(most, error);
    relative = withRelative(relative, error, x);
    // Sums of f32 stay short, so that they stay exact enough.
    if ((i & 1023) == 1020) {
      addSums(sums, squares, aa, bb);
      squares = none;
      aa = none;
      bb = none;
    }
  }
  addSums(sums, squares, aa, bb);
  keepLargest(sums, most, relative);
}

/**
 * What rounding `count` values to a float of 16 bits does: half even at `drop` bits below the last place (13: f16, 16:
 * bf16), below `tiny` at the fixed distance of subnormals (f16: 2^-24). Errors are added to `sums` as by `nbitsBlock`,
 * where values from `limit` on, and what is no number, make the sixth double other than 0.
 */
export function halfErrors(src: usize, count: i32, drop: i32, tiny: f32, limit: f32, sums: usize): void {
  const none = f32x4.splat(0);
  const half = i32x4.splat((1 << (drop - 1)) - 1);
  const one = i32x4.splat(1);
  const kept = i32x4.splat(~((1 << drop) - 1));
  const low = f32x4.splat(tiny);
  const high = f32x4.splat(limit);
  // Adding it leaves multiples of 2^-24.
  const grid = f32x4.splat(0.75);
  let squares = none;
  let aa = none;
  let bb = none;
  let most = none;
  let relative = f32x4.splat(<f32>load<f64>(sums, 32));
  let odd = none;
  for (let i = 0; i < count; i += 4) {
    const x = v128.and(v128.load(src + (<usize>i << 2)), lanesBelow(count - i));
    const even = v128.and(i32x4.shr_u(x, drop), one);
    const rounded = v128.and(i32x4.add(i32x4.add(x, half), even), kept);
    const size = f32x4.abs(x);
    const back = v128.bitselect(f32x4.sub(f32x4.add(x, grid), grid), rounded, f32x4.lt(size, low));
    const error = f32x4.abs(f32x4.sub(x, back));
    odd = f32x4.add(odd, v128.and(f32x4.splat(1), f32x4.ge(size, high)));
    odd = f32x4.add(odd, f32x4.sub(x, x));
    squares = f32x4.add(squares, f32x4.mul(error, error));
    aa = f32x4.add(aa, f32x4.mul(x, x));
    bb = f32x4.add(bb, f32x4.mul(back, back));
    most = f32x4.pmax(most, error);
    relative = withRelative(relative, error, x);
    // Sums of f32 stay short, so that they stay exact enough.
    if ((i & 1023) == 1020) {
      addSums(sums, squares, aa, bb);
      squares = none;
      aa = none;
      bb = none;
    }
  }
  addSums(sums, squares, aa, bb);
  keepLargest(sums, most, relative);
  addOdd(sums, odd);
}
