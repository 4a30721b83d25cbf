// Values and codes in vectors: parts of them, and codes as they are stored.
import { lanesBelow } from './sums';

/** Four values, those from `count` on zero. */
// @ts-ignore: decorator
@inline
export function four(at: usize, count: i32): v128 {
  return v128.and(v128.load(at), lanesBelow(count));
}

/** Bytes below 2^bits as they are stored, low bits first: neighbours are put together once (4 bits) or twice (2). */
// @ts-ignore: decorator
@inline
export function storePacked(to: usize, bytes: v128, bits: i32): void {
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

/** Bytes of the first `count` places. */
// @ts-ignore: decorator
@inline
export function bytesBelow(count: i32): v128 {
  const places = i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return i8x16.lt_s(places, i8x16.splat(<i8>min(count, 16)));
}

/** 16 codes, four to a vector. */
// @ts-ignore: decorator
@inline
export function bytesOf(a: v128, b: v128, c: v128, d: v128): v128 {
  return i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_u(a, b), i16x8.narrow_i32x4_u(c, d));
}
