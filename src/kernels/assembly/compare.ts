// Differences of two blocks of f32 in doubles, in four lanes (element i goes to lane i mod 4).
// Reference: ../reference/compare.ts.

// @ts-ignore: decorator
@inline
function highHalf(x: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<i64>(x, x, 1, 1));
}

// @ts-ignore: decorator
@inline
function sum2(x: v128): f64 {
  return f64x2.extract_lane(x, 0) + f64x2.extract_lane(x, 1);
}

// @ts-ignore: decorator
@inline
function max2(x: v128): f64 {
  const a = f64x2.extract_lane(x, 0);
  const b = f64x2.extract_lane(x, 1);
  return a > b ? a : b;
}

/** Doubles of the ratios that are kept in memory: they change seldom. Behind the results. */
const RATIOS: usize = 80;

// @ts-ignore: decorator
@inline
function keepLarger(at: usize, size: v128, by: v128): void {
  const kept = v128.load(at);
  const grows = v128.and(f64x2.gt(size, f64x2.mul(kept, by)), f64x2.gt(by, f64x2.splat(0)));
  if (v128.any_true(grows)) v128.store(at, f64x2.pmax(kept, v128.and(grows, f64x2.div(size, by))));
}

/** Takes four pairs into the largest |a-b|/|a| and |a-b|/(1+|b|). */
function keepRatios(at: usize, a: v128, b: v128): void {
  const a0 = f64x2.promote_low_f32x4(a);
  const a1 = highHalf(a);
  const b0 = f64x2.promote_low_f32x4(b);
  const b1 = highHalf(b);
  const d0 = f64x2.abs(f64x2.sub(a0, b0));
  const d1 = f64x2.abs(f64x2.sub(a1, b1));
  const one = f64x2.splat(1);
  keepLarger(at, d0, f64x2.abs(a0));
  keepLarger(at + 16, d1, f64x2.abs(a1));
  keepLarger(at + 32, d0, f64x2.add(one, f64x2.abs(b0)));
  keepLarger(at + 48, d1, f64x2.add(one, f64x2.abs(b1)));
}

/** A little less than four kept ratios, as f32: what stays below it in f32 cannot be larger in doubles. */
// @ts-ignore: decorator
@inline
function threshold(at: usize): v128 {
  const low = f32x4.demote_f64x2_zero(v128.load(at));
  const high = f32x4.demote_f64x2_zero(v128.load(at, 16));
  const ratios = f32x4.pmin(f32x4.splat(f32.MAX_VALUE), v128.shuffle<i64>(low, high, 0, 2));
  return f32x4.mul(ratios, f32x4.splat(0.99999));
}

/**
 * Writes 9 doubles at `out`: changed (bits), changed (numbers), pairs with one side not finite, max |a-b|,
 * max |a-b|/|a|, sum (a-b)^2, sum a^2, sum b^2, max |a-b|/(1+|b|); uses 64 bytes from 80 on. Needs 16 bytes behind
 * both blocks.
 */
export function compareF32(left: usize, right: usize, count: i32, out: usize): void {
  const padding = -count & 3;
  for (let i = 0; i < padding; i++) {
    store<f32>(left + (<usize>(count + i) << 2), 0);
    store<f32>(right + (<usize>(count + i) << 2), 0);
  }
  // Mostly everything is finite, and that shows in the sums, which cannot overflow.
  onePass(left, right, count + padding, out, false);
  const sums = load<f64>(out, 48) + load<f64>(out, 56);
  if (!(sums < Infinity)) onePass(left, right, count + padding, out, true);
}

// @ts-ignore: decorator
@inline
function onePass(left: usize, right: usize, count: i32, out: usize, mixed: bool): void {
  const ratios = out + RATIOS;
  memory.fill(ratios, 0, 64);
  let relative = f32x4.splat(0);
  let needed = relative;
  let bits = i32x4.splat(0);
  let numbers = bits;
  let broken = bits;
  const zero = f64x2.splat(0);
  let largest0 = zero;
  let largest1 = zero;
  let error0 = zero;
  let error1 = zero;
  let aa0 = zero;
  let aa1 = zero;
  let bb0 = zero;
  let bb1 = zero;
  const end = left + (<usize>count << 2);
  while (left < end) {
    let a = v128.load(left);
    let b = v128.load(right);
    bits = i32x4.sub(bits, i32x4.ne(a, b));
    let differ = f32x4.ne(a, b);
    let sizeA = f32x4.abs(a);
    let sizeB = f32x4.abs(b);
    if (mixed) {
      const finite = i32x4.lt_s(i32x4.max_s(sizeA, sizeB), i32x4.splat(0x7f800000));
      differ = v128.andnot(differ, v128.and(f32x4.ne(a, a), f32x4.ne(b, b)));
      broken = i32x4.sub(broken, v128.andnot(differ, finite));
      a = v128.and(a, finite);
      b = v128.and(b, finite);
      sizeA = v128.and(sizeA, finite);
      sizeB = v128.and(sizeB, finite);
    }
    numbers = i32x4.sub(numbers, differ);
    const d = f32x4.abs(f32x4.sub(a, b));
    const grows = v128.or(
      f32x4.ge(d, f32x4.mul(relative, sizeA)),
      f32x4.ge(d, f32x4.mul(needed, f32x4.add(sizeB, f32x4.splat(1)))),
    );
    if (v128.any_true(v128.and(grows, f32x4.ne(a, b)))) {
      keepRatios(ratios, a, b);
      relative = threshold(ratios);
      needed = threshold(ratios + 32);
    }
    const a0 = f64x2.promote_low_f32x4(a);
    const a1 = highHalf(a);
    const b0 = f64x2.promote_low_f32x4(b);
    const b1 = highHalf(b);
    const d0 = f64x2.abs(f64x2.sub(a0, b0));
    const d1 = f64x2.abs(f64x2.sub(a1, b1));
    largest0 = f64x2.pmax(largest0, d0);
    largest1 = f64x2.pmax(largest1, d1);
    error0 = f64x2.add(error0, f64x2.mul(d0, d0));
    error1 = f64x2.add(error1, f64x2.mul(d1, d1));
    aa0 = f64x2.add(aa0, f64x2.mul(a0, a0));
    aa1 = f64x2.add(aa1, f64x2.mul(a1, a1));
    bb0 = f64x2.add(bb0, f64x2.mul(b0, b0));
    bb1 = f64x2.add(bb1, f64x2.mul(b1, b1));
    left += 16;
    right += 16;
  }
  store<f64>(out, total(bits));
  store<f64>(out, total(numbers), 8);
  store<f64>(out, total(broken), 16);
  store<f64>(out, max2(f64x2.pmax(largest0, largest1)), 24);
  store<f64>(out, max2(f64x2.pmax(v128.load(ratios), v128.load(ratios, 16))), 32);
  store<f64>(out, sum2(f64x2.add(error0, error1)), 40);
  store<f64>(out, sum2(f64x2.add(aa0, aa1)), 48);
  store<f64>(out, sum2(f64x2.add(bb0, bb1)), 56);
  store<f64>(out, max2(f64x2.pmax(v128.load(ratios, 32), v128.load(ratios, 48))), 64);
}

function total(x: v128): f64 {
  return <f64>(
    (i32x4.extract_lane(x, 0) + i32x4.extract_lane(x, 1) + i32x4.extract_lane(x, 2) + i32x4.extract_lane(x, 3))
  );
}
