// One pass over a block: ends, shifted sums, zeros and non-finite values of f32, bf16 (u16) and f16 (i16) elements.
// Sums are of x - shift in doubles, in eight lanes (element i goes to lane i mod 8), where shift is a value of
// the block: little cancellation, and a constant block has exactly no spread. Reference: ../reference/statistics.ts.
import { f16Values } from './casts';

/** Four elements as f32 lanes. */
// @ts-ignore: decorator
@inline
function four<T>(at: usize): v128 {
  if (sizeof<T>() == 4) return v128.load(at);
  const codes = i32x4.extend_low_i16x8_u(v128.load64_zero(at));
  if (isSigned<T>()) return f16Values(codes);
  return i32x4.shl(codes, 16);
}

// @ts-ignore: decorator
@inline
function isFinite4(x: v128): v128 {
  return i32x4.lt_s(v128.and(x, i32x4.splat(0x7fffffff)), i32x4.splat(0x7f800000));
}

function valueAt<T>(src: usize, index: i32): f32 {
  return f32x4.extract_lane(four<T>(src + <usize>index * sizeof<T>()), 0);
}

function isFiniteAt<T>(src: usize, index: i32): bool {
  return i32x4.extract_lane(isFinite4(four<T>(src + <usize>index * sizeof<T>())), 0) != 0;
}

// @ts-ignore: decorator
@inline
function highHalf(x: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<i64>(x, x, 1, 1));
}

// @ts-ignore: decorator
@inline
function sum4(x: v128): f64 {
  return <f64>(
    (i32x4.extract_lane(x, 0) + i32x4.extract_lane(x, 1) + i32x4.extract_lane(x, 2) + i32x4.extract_lane(x, 3))
  );
}

// @ts-ignore: decorator
@inline
function sum2(x: v128): f64 {
  return f64x2.extract_lane(x, 0) + f64x2.extract_lane(x, 1);
}

/** Writes 8 doubles at `out`: shift, sum, sum of squares, min, max, zeros, nan, inf. Needs 32 bytes behind the block. */
// @ts-ignore: decorator
@inline
function statistics<T>(src: usize, count: i32, out: usize): void {
  // Mostly everything is finite, and that shows in the sum of squares, which cannot overflow.
  onePass<T>(src, count, out, false);
  const squares = load<f64>(out, 16);
  if (!(squares < Infinity)) onePass<T>(src, count, out, true);
}

// @ts-ignore: decorator
@inline
function onePass<T>(src: usize, count: i32, out: usize, mixed: bool): void {
  let first = 0;
  while (first < count && !isFiniteAt<T>(src, first)) first++;
  const found = first < count;
  // The median of the first finite, the middle and the last value: one outlier must not become the shift.
  const middle = count >> 1;
  const last = count - 1;
  let a = first;
  let b = found && isFiniteAt<T>(src, middle) ? middle : first;
  const c = found && isFiniteAt<T>(src, last) ? last : first;
  if (found && valueAt<T>(src, a) > valueAt<T>(src, b)) {
    const t = a;
    a = b;
    b = t;
  }
  const pick = !found || valueAt<T>(src, c) < valueAt<T>(src, a) ? a : valueAt<T>(src, c) > valueAt<T>(src, b) ? b : c;
  // The rest of the last step is filled with the shift, which adds nothing to any sum.
  const padding = -count & 7;
  for (let i = 0; i < padding; i++) {
    const to = src + <usize>(count + i) * sizeof<T>();
    store<T>(to, found ? load<T>(src + <usize>pick * sizeof<T>()) : <T>0);
  }
  const shift = found ? valueAt<T>(src, pick) : <f32>0;
  const shift4 = f32x4.splat(shift);
  const shift2 = f64x2.splat(<f64>shift);
  let min0 = shift4;
  let max0 = shift4;
  let min1 = shift4;
  let max1 = shift4;
  let sumA = f64x2.splat(0);
  let sumB = sumA;
  let sumC = sumA;
  let sumD = sumA;
  let sqA = sumA;
  let sqB = sumA;
  let sqC = sumA;
  let sqD = sumA;
  let zeros = i32x4.splat(0);
  let nans = zeros;
  let infs = zeros;
  const end = src + <usize>(count + padding) * sizeof<T>();
  while (src < end) {
    let x = four<T>(src);
    let y = four<T>(src + 4 * sizeof<T>());
    if (mixed) {
      const finiteX = isFinite4(x);
      const finiteY = isFinite4(y);
      const nan = i32x4.add(f32x4.ne(x, x), f32x4.ne(y, y));
      const all = i32x4.add(v128.not(finiteX), v128.not(finiteY));
      nans = i32x4.sub(nans, nan);
      infs = i32x4.sub(infs, i32x4.sub(all, nan));
      x = v128.bitselect(x, shift4, finiteX);
      y = v128.bitselect(y, shift4, finiteY);
      if (shift == 0) zeros = i32x4.add(zeros, all);
    }
    zeros = i32x4.sub(zeros, f32x4.eq(x, f32x4.splat(0)));
    zeros = i32x4.sub(zeros, f32x4.eq(y, f32x4.splat(0)));
    min0 = f32x4.pmin(min0, x);
    max0 = f32x4.pmax(max0, x);
    min1 = f32x4.pmin(min1, y);
    max1 = f32x4.pmax(max1, y);
    const p = f64x2.sub(f64x2.promote_low_f32x4(x), shift2);
    const q = f64x2.sub(highHalf(x), shift2);
    const r = f64x2.sub(f64x2.promote_low_f32x4(y), shift2);
    const s = f64x2.sub(highHalf(y), shift2);
    sumA = f64x2.add(sumA, p);
    sumB = f64x2.add(sumB, q);
    sumC = f64x2.add(sumC, r);
    sumD = f64x2.add(sumD, s);
    sqA = f64x2.add(sqA, f64x2.mul(p, p));
    sqB = f64x2.add(sqB, f64x2.mul(q, q));
    sqC = f64x2.add(sqC, f64x2.mul(r, r));
    sqD = f64x2.add(sqD, f64x2.mul(s, s));
    src += 8 * sizeof<T>();
  }
  const min = f32x4.pmin(min0, min1);
  const max = f32x4.pmax(max0, max1);
  store<f64>(out, <f64>shift);
  store<f64>(out, sum2(f64x2.add(f64x2.add(sumA, sumB), f64x2.add(sumC, sumD))), 8);
  store<f64>(out, sum2(f64x2.add(f64x2.add(sqA, sqB), f64x2.add(sqC, sqD))), 16);
  store<f64>(out, <f64>lowest(min), 24);
  store<f64>(out, <f64>highest(max), 32);
  store<f64>(out, sum4(zeros) - (shift == 0 ? <f64>padding : 0), 40);
  store<f64>(out, sum4(nans), 48);
  store<f64>(out, sum4(infs), 56);
}

function lowest(x: v128): f32 {
  let low = f32x4.extract_lane(x, 0);
  if (f32x4.extract_lane(x, 1) < low) low = f32x4.extract_lane(x, 1);
  if (f32x4.extract_lane(x, 2) < low) low = f32x4.extract_lane(x, 2);
  if (f32x4.extract_lane(x, 3) < low) low = f32x4.extract_lane(x, 3);
  return low;
}

function highest(x: v128): f32 {
  let high = f32x4.extract_lane(x, 0);
  if (f32x4.extract_lane(x, 1) > high) high = f32x4.extract_lane(x, 1);
  if (f32x4.extract_lane(x, 2) > high) high = f32x4.extract_lane(x, 2);
  if (f32x4.extract_lane(x, 3) > high) high = f32x4.extract_lane(x, 3);
  return high;
}

export function statisticsF32(src: usize, count: i32, out: usize): void {
  statistics<f32>(src, count, out);
}
export function statisticsBf16(src: usize, count: i32, out: usize): void {
  statistics<u16>(src, count, out);
}
export function statisticsF16(src: usize, count: i32, out: usize): void {
  statistics<i16>(src, count, out);
}
