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

/** The largest relative error, divided only where it grows. */
// @ts-ignore: decorator
@inline
function worse(relative: v128, size: v128, reference: v128): v128 {
  const grows = v128.and(
    f64x2.gt(size, f64x2.mul(relative, reference)),
    f64x2.gt(reference, f64x2.splat(0)),
  );
  if (!v128.any_true(grows)) return relative;
  return f64x2.pmax(relative, v128.and(grows, f64x2.div(size, reference)));
}

/**
 * Writes 10 doubles at `out`: changed (bits), changed (numbers), pairs with one side not finite, max |a-b|,
 * max |a-b|/|a|, sum (a-b)^2, sum a^2, sum b^2, sum ab, max |a-b|/(1+|b|). Needs 16 bytes behind both blocks.
 */
export function compareF32(left: usize, right: usize, count: i32, out: usize): void {
  const padding = -count & 3;
  for (let i = 0; i < padding; i++) {
    store<f32>(left + (<usize>(count + i) << 2), 0);
    store<f32>(right + (<usize>(count + i) << 2), 0);
  }
  let bits = i32x4.splat(0);
  let numbers = bits;
  let broken = bits;
  const zero = f64x2.splat(0);
  let largest0 = zero;
  let largest1 = zero;
  let relative0 = zero;
  let relative1 = zero;
  let needed0 = zero;
  let needed1 = zero;
  const one = f64x2.splat(1);
  let error0 = zero;
  let error1 = zero;
  let aa0 = zero;
  let aa1 = zero;
  let bb0 = zero;
  let bb1 = zero;
  let ab0 = zero;
  let ab1 = zero;
  const infinity = i32x4.splat(0x7f800000);
  const sizeMask = i32x4.splat(0x7fffffff);
  const end = left + (<usize>(count + padding) << 2);
  while (left < end) {
    let a = v128.load(left);
    let b = v128.load(right);
    bits = i32x4.sub(bits, i32x4.ne(a, b));
    let differ = f32x4.ne(a, b);
    const finite = i32x4.lt_s(i32x4.max_s(v128.and(a, sizeMask), v128.and(b, sizeMask)), infinity);
    if (!i32x4.all_true(finite)) {
      differ = v128.andnot(differ, v128.and(f32x4.ne(a, a), f32x4.ne(b, b)));
      broken = i32x4.sub(broken, v128.andnot(differ, finite));
      a = v128.and(a, finite);
      b = v128.and(b, finite);
    }
    numbers = i32x4.sub(numbers, differ);
    const a0 = f64x2.promote_low_f32x4(a);
    const a1 = highHalf(a);
    const b0 = f64x2.promote_low_f32x4(b);
    const b1 = highHalf(b);
    const d0 = f64x2.abs(f64x2.sub(a0, b0));
    const d1 = f64x2.abs(f64x2.sub(a1, b1));
    largest0 = f64x2.pmax(largest0, d0);
    largest1 = f64x2.pmax(largest1, d1);
    relative0 = worse(relative0, d0, f64x2.abs(a0));
    relative1 = worse(relative1, d1, f64x2.abs(a1));
    needed0 = worse(needed0, d0, f64x2.add(one, f64x2.abs(b0)));
    needed1 = worse(needed1, d1, f64x2.add(one, f64x2.abs(b1)));
    error0 = f64x2.add(error0, f64x2.mul(d0, d0));
    error1 = f64x2.add(error1, f64x2.mul(d1, d1));
    aa0 = f64x2.add(aa0, f64x2.mul(a0, a0));
    aa1 = f64x2.add(aa1, f64x2.mul(a1, a1));
    bb0 = f64x2.add(bb0, f64x2.mul(b0, b0));
    bb1 = f64x2.add(bb1, f64x2.mul(b1, b1));
    ab0 = f64x2.add(ab0, f64x2.mul(a0, b0));
    ab1 = f64x2.add(ab1, f64x2.mul(a1, b1));
    left += 16;
    right += 16;
  }
  store<f64>(out, total(bits));
  store<f64>(out, total(numbers), 8);
  store<f64>(out, total(broken), 16);
  store<f64>(out, max2(f64x2.pmax(largest0, largest1)), 24);
  store<f64>(out, max2(f64x2.pmax(relative0, relative1)), 32);
  store<f64>(out, sum2(f64x2.add(error0, error1)), 40);
  store<f64>(out, sum2(f64x2.add(aa0, aa1)), 48);
  store<f64>(out, sum2(f64x2.add(bb0, bb1)), 56);
  store<f64>(out, sum2(f64x2.add(ab0, ab1)), 64);
  store<f64>(out, max2(f64x2.pmax(needed0, needed1)), 72);
}

function total(x: v128): f64 {
  return <f64>(
    (i32x4.extract_lane(x, 0) + i32x4.extract_lane(x, 1) + i32x4.extract_lane(x, 2) + i32x4.extract_lane(x, 3))
  );
}
