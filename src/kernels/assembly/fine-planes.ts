// The two highest planes (planes.ts) as symbols of ten bits, the exponent of f32 and bf16 with two bits of its mantissa,
// and six bits raw. Within an octave small values are the more frequent ones, so those two bits are no noise.
// Reference: ../reference/fine-planes.ts.

/** Most of a symbol, and of what is below the least one that is no zero. */
const MOST: u32 = 255;

/** The ten highest bits of eight elements, of their two highest bytes. */
// @ts-ignore: decorator
@inline
function tops(high: v128, low: v128): v128 {
  return v128.or(i16x8.shl(high, 2), i16x8.shr_u(low, 6));
}

/**
 * One less than the least of the ten highest bits that is not 0; -1 if the largest is more than 255 above that: then there
 * are too many symbols. Reads to the end of the last vector of both planes.
 */
export function fineFloor(high: usize, low: usize, n: i32): i32 {
  const one = i16x8.splat(1);
  let least = i16x8.splat(-1);
  let most = i16x8.splat(0);
  const wide = <usize>n & ~15;
  for (let i: usize = 0; i < wide; i += 16) {
    const h = v128.load(high + i);
    const l = v128.load(low + i);
    const a = tops(i16x8.extend_low_i8x16_u(h), i16x8.extend_low_i8x16_u(l));
    const b = tops(i16x8.extend_high_i8x16_u(h), i16x8.extend_high_i8x16_u(l));
    // One less: a zero becomes the largest there is.
    least = i16x8.min_u(least, i16x8.min_u(i16x8.sub(a, one), i16x8.sub(b, one)));
    most = i16x8.max_u(most, i16x8.max_u(a, b));
  }
  let floor: u32 = 0xffff;
  let top: u32 = 0;
  for (let i = wide; i < <usize>n; i++) {
    const t = (<u32>load<u8>(high + i) << 2) | (<u32>load<u8>(low + i) >> 6);
    floor = min(floor, (t - 1) & 0xffff);
    top = max(top, t);
  }
  const pairs = i32x4.min_u(i32x4.shr_u(least, 16), v128.and(least, i32x4.splat(0xffff)));
  const tall = i32x4.max_u(i32x4.shr_u(most, 16), v128.and(most, i32x4.splat(0xffff)));
  floor = min(floor, min(min(<u32>i32x4.extract_lane(pairs, 0), <u32>i32x4.extract_lane(pairs, 1)), min(<u32>i32x4.extract_lane(pairs, 2), <u32>i32x4.extract_lane(pairs, 3))));
  top = max(top, max(max(<u32>i32x4.extract_lane(tall, 0), <u32>i32x4.extract_lane(tall, 1)), max(<u32>i32x4.extract_lane(tall, 2), <u32>i32x4.extract_lane(tall, 3))));
  if (top == 0) return 0;
  return top - floor > MOST ? -1 : <i32>floor;
}

/**
 * The high plane becomes symbols in place: what the ten highest bits are above `floor`, 0 for a zero. The six bits below go
 * to `packed`, four elements to three bytes; up to 4 bytes past their end are written.
 */
export function fineSplit(high: usize, low: usize, n: i32, floor: i32, packed: usize): void {
  const origin = i16x8.splat(<i16>floor);
  const wide = <usize>n & ~15;
  let to = packed;
  for (let i: usize = 0; i < wide; i += 16, to += 12) {
    const h = v128.load(high + i);
    const l = v128.load(low + i);
    const a = tops(i16x8.extend_low_i8x16_u(h), i16x8.extend_low_i8x16_u(l));
    const b = tops(i16x8.extend_high_i8x16_u(h), i16x8.extend_high_i8x16_u(l));
    v128.store(high + i, i8x16.narrow_i16x8_u(i16x8.sub_sat_u(a, origin), i16x8.sub_sat_u(b, origin)));
    const two = v128.or(v128.and(l, i16x8.splat(0x3f)), v128.and(i16x8.shr_u(l, 2), i16x8.splat(0xfc0)));
    const four = v128.or(v128.and(two, i32x4.splat(0xfff)), v128.and(i32x4.shr_u(two, 4), i32x4.splat(0xfff000)));
    v128.store(to, i8x16.swizzle(four, i8x16(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1)));
  }
  let bits: u32 = 0;
  let have: u32 = 0;
  for (let i = wide; i < <usize>n; i++) {
    const h = <u32>load<u8>(high + i);
    const l = <u32>load<u8>(low + i);
    const t = (h << 2) | (l >> 6);
    store<u8>(high + i, t == 0 ? 0 : <u8>(t - <u32>floor));
    bits |= (l & 63) << have;
    have += 6;
    while (have >= 8) {
      store<u8>(to++, <u8>bits);
      bits >>= 8;
      have -= 8;
    }
  }
  if (have > 0) store<u8>(to, <u8>bits);
}

/** The inverse: both planes from the symbols in the high one. Reads up to 4 bytes past the end of `packed`. */
export function fineJoin(high: usize, low: usize, n: i32, floor: i32, packed: usize): void {
  const none = i16x8.splat(0);
  const origin = i16x8.splat(<i16>floor);
  const wide = <usize>n & ~15;
  let from = packed;
  for (let i: usize = 0; i < wide; i += 16, from += 12) {
    const s = v128.load(high + i);
    const c = i16x8.extend_low_i8x16_u(s);
    const d = i16x8.extend_high_i8x16_u(s);
    const a = v128.and(i16x8.add(c, origin), i16x8.ne(c, none));
    const b = v128.and(i16x8.add(d, origin), i16x8.ne(d, none));
    v128.store(high + i, i8x16.narrow_i16x8_u(i16x8.shr_u(a, 2), i16x8.shr_u(b, 2)));
    const four = i8x16.swizzle(v128.load(from), i8x16(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1));
    const two = v128.or(v128.and(four, i32x4.splat(0xfff)), i32x4.shl(v128.and(four, i32x4.splat(0xfff000)), 4));
    const six = v128.or(v128.and(two, i16x8.splat(0x3f)), i16x8.shl(v128.and(two, i16x8.splat(0xfc0)), 2));
    const three = i16x8.splat(3);
    const top = i8x16.narrow_i16x8_u(i16x8.shl(v128.and(a, three), 6), i16x8.shl(v128.and(b, three), 6));
    v128.store(low + i, v128.or(top, six));
  }
  let bits: u32 = 0;
  let have: u32 = 0;
  for (let i = wide; i < <usize>n; i++) {
    if (have < 6) {
      bits |= <u32>load<u8>(from++) << have;
      have += 8;
    }
    const s = <u32>load<u8>(high + i);
    const t = s == 0 ? 0 : s + <u32>floor;
    store<u8>(high + i, <u8>min<u32>(t >> 2, 255));
    store<u8>(low + i, <u8>(((t & 3) << 6) | (bits & 63)));
    bits >>= 6;
    have -= 6;
  }
}
