// The same as `nbitsBlock` for 4 bits, whole vectors of columns and rows in eights: what nearly all weights are. Four rows a
// step, so that their codes become 16 bits by arithmetic on small whole numbers, and one branch looks after the largest
// relative error of all of them.
import { asymmetricScales, factors, heldScales, storeScales, storeWords, symmetricScales, zeroPoints } from './column-blocks';
import { addOdd, addSums, keepLargest, largestOf, squaresOf, withRelatives } from './sums';

// @ts-ignore: decorator
@inline
function rounded(x: v128, factor: v128, zero: v128, top: v128): v128 {
  const sum = f32x4.add(f32x4.mul(x, factor), zero);
  const whole = f32x4.floor(sum);
  const up = v128.and(f32x4.ge(f32x4.sub(sum, whole), f32x4.splat(0.5)), f32x4.splat(1));
  return f32x4.pmin(f32x4.pmax(f32x4.add(whole, up), f32x4.splat(0)), top);
}

/** Four codes, low bits first, as whole numbers below 2^16. */
// @ts-ignore: decorator
@inline
function joined(a: v128, b: v128, c: v128, d: v128): v128 {
  const sixteen = f32x4.splat(16);
  const low = f32x4.add(a, f32x4.mul(b, sixteen));
  const high = f32x4.add(c, f32x4.mul(d, sixteen));
  const all = f32x4.add(low, f32x4.mul(high, f32x4.splat(256)));
  // 2^23 makes them the low bits.
  return v128.and(f32x4.add(all, f32x4.splat(8388608)), i32x4.splat(0xffff));
}

/** Lanes whose error is more than that share of the value. */
// @ts-ignore: decorator
@inline
function exceeds(error: v128, most: v128, x: v128): v128 {
  return f32x4.gt(error, f32x4.abs(f32x4.mul(most, x)));
}

/** Arguments: see `nbitsBlock`. `rows` is a multiple of 8, `columns` of 4. */
export function nbits4Columns(
  src: usize,
  stride: usize,
  rows: i32,
  columns: i32,
  symmetric: i32,
  out: usize,
  outStride: usize,
  scales: usize,
  zeros: usize,
  blocks: usize,
  half16: i32,
  sums: usize,
): void {
  const top = f32x4.splat(15);
  const none = f32x4.splat(0);
  const middle: f32 = 8;
  for (let column = 0; column < columns; column += 4) {
    const from = src + (<usize>column << 2);
    const end = from + <usize>rows * stride;
    let low = v128.load(from);
    let high = low;
    let odd = none;
    let aa = none;
    for (let at = from; at < end; at += 4 * stride) {
      const a = v128.load(at);
      const b = v128.load(at + stride);
      const c = v128.load(at + 2 * stride);
      const d = v128.load(at + 3 * stride);
      low = f32x4.pmin(f32x4.pmin(low, a), f32x4.pmin(f32x4.pmin(b, c), d));
      high = f32x4.pmax(f32x4.pmax(high, a), f32x4.pmax(f32x4.pmax(b, c), d));
      aa = f32x4.add(aa, squaresOf(a, b, c, d));
    }
    // A sum of squares is finite unless a value is not, or nearly not: then it is looked at closely.
    if (v128.any_true(f32x4.ne(f32x4.sub(aa, aa), none)))
      for (let at = from; at < end; at += stride) {
        const x = v128.load(at);
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
    let bb = none;
    let most = none;
    let relative = f32x4.splat(<f32>load<f64>(sums, 32));
    let to = out + <usize>column * outStride;
    let half = none;
    let second = false;
    for (let at = from; at < end; at += 4 * stride) {
      const a = v128.load(at);
      const b = v128.load(at + stride);
      const c = v128.load(at + 2 * stride);
      const d = v128.load(at + 3 * stride);
      const qa = rounded(a, factor, zero, top);
      const qb = rounded(b, factor, zero, top);
      const qc = rounded(c, factor, zero, top);
      const qd = rounded(d, factor, zero, top);
      const codes = joined(qa, qb, qc, qd);
      if (second) {
        const word = v128.or(half, i32x4.shl(codes, 16));
        storeWords(to, outStride, word);
        to += 4;
      }
      half = codes;
      second = !second;
      const ya = f32x4.mul(f32x4.sub(qa, zero), scale);
      const yb = f32x4.mul(f32x4.sub(qb, zero), scale);
      const yc = f32x4.mul(f32x4.sub(qc, zero), scale);
      const yd = f32x4.mul(f32x4.sub(qd, zero), scale);
      bb = f32x4.add(bb, squaresOf(ya, yb, yc, yd));
      const ea = f32x4.abs(f32x4.sub(a, ya));
      const eb = f32x4.abs(f32x4.sub(b, yb));
      const ec = f32x4.abs(f32x4.sub(c, yc));
      const ed = f32x4.abs(f32x4.sub(d, yd));
      squares = f32x4.add(squares, squaresOf(ea, eb, ec, ed));
      most = f32x4.pmax(most, largestOf(ea, eb, ec, ed));
      const larger = v128.or(
        v128.or(exceeds(ea, relative, a), exceeds(eb, relative, b)),
        v128.or(exceeds(ec, relative, c), exceeds(ed, relative, d)),
      );
      if (v128.any_true(larger)) relative = withRelatives(relative, ea, eb, ec, ed, a, b, c, d);
    }
    storeScales(scales, zeros, column, blocks, scale, zero);
    addSums(sums, squares, aa, bb);
    keepLargest(sums, most, relative);
    addOdd(sums, odd);
  }
}
