// What a block of each of four columns is divided by, by the rule of MatMulNBits, and where its scale and zero point go.

/** Scales of blocks whose integer for 0 is `middle`: the farther end is the lowest of all. */
// @ts-ignore: decorator
@inline
export function symmetricScales(low: v128, high: v128, middle: f32): v128 {
  const far = v128.bitselect(high, low, f32x4.gt(f32x4.abs(high), f32x4.abs(low)));
  return f32x4.div(far, f32x4.splat(-middle));
}

/** Scales with which both ends, and 0, fit between 0 and `top`. */
// @ts-ignore: decorator
@inline
export function asymmetricScales(low: v128, high: v128, top: v128): v128 {
  const none = f32x4.splat(0);
  return f32x4.div(f32x4.sub(f32x4.max(high, none), f32x4.min(low, none)), top);
}

/** Their integers for 0, halves away from zero; 0 for blocks of zeros. */
// @ts-ignore: decorator
@inline
export function zeroPoints(low: v128, scale: v128, top: v128): v128 {
  const none = f32x4.splat(0);
  const exact = f32x4.div(f32x4.neg(f32x4.min(low, none)), scale);
  const whole = f32x4.floor(exact);
  const up = v128.and(f32x4.ge(f32x4.sub(exact, whole), f32x4.splat(0.5)), f32x4.splat(1));
  return v128.andnot(f32x4.min(f32x4.max(f32x4.add(whole, up), none), top), f32x4.eq(scale, none));
}

/**
 * Scales as they are once they are stored: in f16 rounded half even, at the fixed distance of subnormals below 2^-14, and none
 * that becomes 0. In f32 the same.
 */
// @ts-ignore: decorator
@inline
export function heldScales(scale: v128, half: i32): v128 {
  if (!half) return scale;
  const even = v128.and(i32x4.shr_u(scale, 13), i32x4.splat(1));
  const rounded = v128.and(i32x4.add(i32x4.add(scale, i32x4.splat(0xfff)), even), i32x4.splat(~0x1fff));
  const grid = f32x4.splat(0.75);
  const size = f32x4.abs(scale);
  const sign = i32x4.splat(0x80000000);
  const low = v128.or(f32x4.sub(f32x4.add(scale, grid), grid), v128.and(scale, sign));
  const held = v128.bitselect(low, rounded, f32x4.lt(size, f32x4.splat(6.103515625e-5)));
  const least = v128.bitselect(scale, f32x4.splat(5.9604644775390625e-8), sign);
  const tiny = v128.andnot(f32x4.lt(size, f32x4.splat(5.9604644775390625e-8)), f32x4.eq(scale, f32x4.splat(0)));
  return v128.bitselect(least, held, tiny);
}

/** 1 ÷ scale, and 0 for blocks of zeros. */
// @ts-ignore: decorator
@inline
export function factors(scale: v128): v128 {
  return v128.andnot(f32x4.div(f32x4.splat(1), scale), f32x4.eq(scale, f32x4.splat(0)));
}

/** Scales (f32) and zero points (a byte) of four columns, a column `blocks` of them after the other. */
// @ts-ignore: decorator
@inline
export function storeScales(
  scales: usize,
  zeros: usize,
  column: i32,
  blocks: usize,
  scale: v128,
  zero: v128,
): void {
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
}

/** A word of codes of each of four columns, `stride` bytes apart. */
// @ts-ignore: decorator
@inline
export function storeWords(to: usize, stride: usize, word: v128): void {
  v128.store32_lane(to, word, 0);
  v128.store32_lane(to + stride, word, 1);
  v128.store32_lane(to + 2 * stride, word, 2);
  v128.store32_lane(to + 3 * stride, word, 3);
}
