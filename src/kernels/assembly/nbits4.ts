// The same as `nbitsBlock` for 4 bits, whole vectors of columns and rows in eights: what nearly all weights are. Four rows a
// step, so that their codes become 16 bits by arithmetic on small whole numbers, and one branch looks after the largest
// relative error of all of them.
import { across, addSums, keepLargest, withRelative } from './sums';

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

// @ts-ignore: decorator
@inline
function squared(a: v128, b: v128, c: v128, d: v128): v128 {
  return f32x4.add(
    f32x4.add(f32x4.mul(a, a), f32x4.mul(b, b)),
    f32x4.add(f32x4.mul(c, c), f32x4.mul(d, d)),
  );
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
  sums: usize,
): void {
  const top = f32x4.splat(15);
  const none = f32x4.splat(0);
  const one = f32x4.splat(1);
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
      aa = f32x4.add(aa, squared(a, b, c, d));
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
    if (symmetric) {
      const far = v128.bitselect(high, low, f32x4.gt(f32x4.abs(high), f32x4.abs(low)));
      scale = f32x4.div(far, f32x4.splat(-8));
      zero = f32x4.splat(8);
      factor = v128.andnot(f32x4.div(one, scale), f32x4.eq(scale, none));
    } else {
      const bottom = f32x4.min(low, none);
      scale = f32x4.div(f32x4.sub(f32x4.max(high, none), bottom), top);
      const flat = f32x4.eq(scale, none);
      const exact = f32x4.div(f32x4.neg(bottom), scale);
      const whole = f32x4.floor(exact);
      const up = v128.and(f32x4.ge(f32x4.sub(exact, whole), f32x4.splat(0.5)), one);
      zero = v128.andnot(f32x4.min(f32x4.max(f32x4.add(whole, up), none), top), flat);
      factor = v128.andnot(f32x4.div(one, scale), flat);
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
        v128.store32_lane(to, word, 0);
        v128.store32_lane(to + outStride, word, 1);
        v128.store32_lane(to + 2 * outStride, word, 2);
        v128.store32_lane(to + 3 * outStride, word, 3);
        to += 4;
      }
      half = codes;
      second = !second;
      const ya = f32x4.mul(f32x4.sub(qa, zero), scale);
      const yb = f32x4.mul(f32x4.sub(qb, zero), scale);
      const yc = f32x4.mul(f32x4.sub(qc, zero), scale);
      const yd = f32x4.mul(f32x4.sub(qd, zero), scale);
      bb = f32x4.add(bb, squared(ya, yb, yc, yd));
      const ea = f32x4.abs(f32x4.sub(a, ya));
      const eb = f32x4.abs(f32x4.sub(b, yb));
      const ec = f32x4.abs(f32x4.sub(c, yc));
      const ed = f32x4.abs(f32x4.sub(d, yd));
      squares = f32x4.add(squares, squared(ea, eb, ec, ed));
      most = f32x4.pmax(most, f32x4.pmax(f32x4.pmax(ea, eb), f32x4.pmax(ec, ed)));
      const larger = v128.or(
        v128.or(exceeds(ea, relative, a), exceeds(eb, relative, b)),
        v128.or(exceeds(ec, relative, c), exceeds(ed, relative, d)),
      );
      if (v128.any_true(larger)) {
        relative = withRelative(withRelative(relative, ea, a), eb, b);
        relative = withRelative(withRelative(relative, ec, c), ed, d);
      }
    }
    const scaleAt = scales + ((<usize>column * blocks) << 2);
    v128.store32_lane(scaleAt, scale, 0);
    v128.store32_lane(scaleAt + (blocks << 2), scale, 1);
    v128.store32_lane(scaleAt + (blocks << 3), scale, 2);
    v128.store32_lane(scaleAt + blocks * 12, scale, 3);
    const zeroAt = zeros + <usize>column * blocks;
    const zeroCodes = i32x4.trunc_sat_f32x4_s(zero);
    v128.store8_lane(zeroAt, zeroCodes, 0);
    v128.store8_lane(zeroAt + blocks, zeroCodes, 4);
    v128.store8_lane(zeroAt + 2 * blocks, zeroCodes, 8);
    v128.store8_lane(zeroAt + 3 * blocks, zeroCodes, 12);
    addSums(sums, squares, aa, bb);
    keepLargest(sums, most, relative);
    store<f64>(sums, load<f64>(sums, 40) + across(odd), 40);
  }
}
