// Classes of magnitudes: 0 … 3 are the magnitude itself, then four to an octave; the bits below are written raw.

// @ts-ignore: decorator
@inline
export function classOf(m: u32): u32 {
  // Without a branch for small ones: which ones are small is noise.
  const low = 29 - clz<u32>(m | 7);
  return (low << 2) + (m >> low);
}
// @ts-ignore: decorator
@inline
export function lowBits(c: u32): u32 {
  return c < 4 ? 0 : (c >> 2) - 1;
}
/** Bits after the code: a sign and the low ones. */
// @ts-ignore: decorator
@inline
export function rawBits(c: u32): u32 {
  return c == 0 ? 0 : lowBits(c) + 1;
}
// @ts-ignore: decorator
@inline
export function magnitude(d: i32): u32 {
  const s = d >> 31;
  return <u32>((d ^ s) - s);
}

/** Four differences of which the first lies at `at`, a number of 1, 2 or 4 bytes each. */
// @ts-ignore: decorator
@inline
export function fourDifferences<T>(at: usize): v128 {
  if (sizeof<T>() == 4) return v128.load(at);
  if (sizeof<T>() == 2) return v128.load_ext<i16>(at);
  return i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(at)));
}

/** The classes of four magnitudes of numbers of type T: exponent and two bits of the mantissa, as f32 has them. */
// @ts-ignore: decorator
@inline
export function fourClasses<T>(m: v128): v128 {
  let cut = m;
  // Of what f32 does not hold the lowest bits are cut off: nothing is rounded up.
  if (sizeof<T>() == 4) cut = v128.andnot(m, v128.and(i32x4.gt_u(m, i32x4.splat(0xffffff)), i32x4.splat(255)));
  const bits = v128.and(i32x4.shr_u(f32x4.convert_i32x4_s(cut), 21), i32x4.splat(1023));
  return i32x4.max_s(i32x4.sub(bits, i32x4.splat(512)), i32x4.min_u(m, i32x4.splat(4)));
}
