// Elements as ordered integers, their differences to those of a base, and the exponents of the base.
import { magnitude } from './classes';

// The ordered integer of a float, as a signed one: the bits below the sign turned over if it is negative. So it becomes a
// float again, too. Integers are as they are (`shift` 0): only differences count. `shift`: bits right of the exponent in an
// element shifted left by one.
// @ts-ignore: decorator
@inline
function ordered4(x: v128, floats: bool): v128 {
  return floats ? v128.xor(x, i32x4.shr_u(i32x4.shr_s(x, 31), 1)) : x;
}
// @ts-ignore: decorator
@inline
function ordered2(x: v128, floats: bool): v128 {
  return floats ? v128.xor(x, i16x8.shr_u(i16x8.shr_s(x, 15), 1)) : x;
}
// @ts-ignore: decorator
@inline
function ordered1(x: v128, floats: bool): v128 {
  return floats ? v128.xor(x, v128.and(i8x16.shr_s(x, 7), i8x16.splat(0x7f))) : x;
}

/** Elements that did not differ when `differences` was asked last. */
let same: u32 = 0;
export function sameElements(): i32 {
  return <i32>same;
}

/**
 * Differences to the base, as many bytes as the elements, and the exponents of the base, a byte each. Gives the largest
 * magnitude of differences of two and four bytes. Reads and writes up to four vectors past the end.
 */
export function differences(src: usize, base: usize, n: i32, width: i32, shift: i32, out: usize, exps: usize): u32 {
  if (width == 4) return differencesOf<i32>(src, base, <usize>n, shift, out, exps);
  if (width == 2) return differencesOf<i16>(src, base, <usize>n, shift, out, exps);
  return differencesOf<i8>(src, base, <usize>n, shift, out, exps);
}

/** The differences of a vector go to `out`. */
// @ts-ignore: decorator
@inline
function differ<T>(src: usize, base: usize, floats: bool, out: usize): v128 {
  const x = v128.load(src);
  const y = v128.load(base);
  const d =
    sizeof<T>() == 4
      ? i32x4.sub(ordered4(x, floats), ordered4(y, floats))
      : sizeof<T>() == 2
        ? i16x8.sub(ordered2(x, floats), ordered2(y, floats))
        : i8x16.sub(ordered1(x, floats), ordered1(y, floats));
  v128.store(out, d);
  return d;
}

/** How many of a vector are 0. */
// @ts-ignore: decorator
@inline
function zeros<T>(d: v128): u32 {
  const none = i8x16.splat(0);
  return popcnt<u32>(
    <u32>(
      sizeof<T>() == 4
        ? i32x4.bitmask(i32x4.eq(d, none))
        : sizeof<T>() == 2
          ? i16x8.bitmask(i16x8.eq(d, none))
          : i8x16.bitmask(i8x16.eq(d, none))
    ),
  );
}

// @ts-ignore: decorator
@inline
function larger<T>(most: v128, d: v128): v128 {
  return sizeof<T>() == 4
    ? i32x4.max_u(most, i32x4.abs(d))
    : sizeof<T>() == 2
      ? i16x8.max_u(most, i16x8.abs(d))
      : most;
}

function differencesOf<T>(src: usize, base: usize, n: usize, shift: i32, out: usize, exps: usize): u32 {
  const floats = shift != 0;
  let most = i32x4.splat(0);
  const wide = n & ~15;
  let equal: u32 = 0;
  for (let i: usize = 0; i < n; i += 16) {
    const at = i * sizeof<T>();
    v128.store(exps + i, exponentsOf<T>(base + at, shift));
    for (let k: usize = 0; k < 16 * sizeof<T>(); k += 16) {
      const d = differ<T>(src + at + k, base + at + k, floats, out + at + k);
      if (i < wide) {
        most = larger<T>(most, d);
        equal += zeros<T>(d);
      }
    }
  }
  for (let i = wide; i < n; i++) equal += <u32>(load<T>(out + i * sizeof<T>()) == 0);
  same = equal;
  let largest: u32 = 0;
  if (sizeof<T>() > 1) for (let i = wide; i < n; i++) largest = max(largest, magnitude(<i32>load<T>(out + i * sizeof<T>())));
  if (sizeof<T>() == 2) most = i32x4.max_u(i32x4.shr_u(most, 16), v128.and(most, i32x4.splat(0xffff)));
  const rest = max(max(<u32>i32x4.extract_lane(most, 0), <u32>i32x4.extract_lane(most, 1)), max(<u32>i32x4.extract_lane(most, 2), <u32>i32x4.extract_lane(most, 3)));
  return max(largest, rest);
}

/** Elements of a base and the differences to it: four of four bytes, … */
// @ts-ignore: decorator
@inline
export function changed4(base: v128, difference: v128, floats: bool): v128 {
  return ordered4(i32x4.add(ordered4(base, floats), difference), floats);
}
// @ts-ignore: decorator
@inline
export function changed2(base: v128, difference: v128, floats: bool): v128 {
  return ordered2(i16x8.add(ordered2(base, floats), difference), floats);
}
// @ts-ignore: decorator
@inline
export function changed1(base: v128, difference: v128, floats: bool): v128 {
  return ordered1(i8x16.add(ordered1(base, floats), difference), floats);
}

/** The exponents of 16 elements, a byte each. */
// @ts-ignore: decorator
@inline
export function exponentsOf<T>(at: usize, shift: i32): v128 {
  if (shift == 0) return i8x16.splat(0);
  if (sizeof<T>() == 4) {
    const a = i32x4.shr_u(i32x4.shl(v128.load(at), 1), shift);
    const b = i32x4.shr_u(i32x4.shl(v128.load(at, 16), 1), shift);
    const c = i32x4.shr_u(i32x4.shl(v128.load(at, 32), 1), shift);
    const d = i32x4.shr_u(i32x4.shl(v128.load(at, 48), 1), shift);
    return i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_u(a, b), i16x8.narrow_i32x4_u(c, d));
  }
  if (sizeof<T>() == 2) {
    const a = i16x8.shr_u(i16x8.shl(v128.load(at), 1), shift);
    const b = i16x8.shr_u(i16x8.shl(v128.load(at, 16), 1), shift);
    return i8x16.narrow_i16x8_u(a, b);
  }
  return i8x16.shr_u(i8x16.shl(v128.load(at), 1), shift);
}
