// Blocks of a matrix as integers in the layout of MatMulNBits, four columns a step. Reference: ../quantize/rounder.ts
// and nbits-pack.ts. A last partial step reads and writes up to three columns more: callers keep room behind all areas.

// @ts-ignore: decorator
@inline
function across(x: v128): f64 {
  return (
    <f64>f32x4.extract_lane(x, 0) +
    <f64>f32x4.extract_lane(x, 1) +
    <f64>f32x4.extract_lane(x, 2) +
    <f64>f32x4.extract_lane(x, 3)
  );
}

// @ts-ignore: decorator
@inline
function largest(x: v128): f64 {
  const a = max(f32x4.extract_lane(x, 0), f32x4.extract_lane(x, 1));
  return <f64>max(a, max(f32x4.extract_lane(x, 2), f32x4.extract_lane(x, 3)));
}

/** Lanes of columns that are there. */
// @ts-ignore: decorator
@inline
function lanesBelow(columns: i32): v128 {
  return i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(columns));
}

/**
 * Quantizes `rows` × `columns` f32 values, a row `stride` bytes after the other, as one block of each column: codes at
 * `out` (a column `outStride` bytes after the other), scales and zero points at `scales` and `zeros` (a column
 * `blocks` of them after the other). Adds to six doubles at `sums`: Σ(a−b)², Σa², Σb², and keeps there the largest
 * |a−b|, the largest |a−b|÷|a|, and what is NaN once a value was not finite.
 */
export function nbitsBlock(
  src: usize,
  stride: usize,
  rows: i32,
  columns: i32,
  bits: i32,
  symmetric: i32,
  out: usize,
  outStride: usize,
  scales: usize,
  zeros: usize,
  blocks: usize,
  sums: usize,
): void {
  const top = f32x4.splat(<f32>((1 << bits) - 1));
  const none = f32x4.splat(0);
  const half = f32x4.splat(0.5);
  const one = f32x4.splat(1);
  const middle = <f32>(1 << (bits - 1));
  const perWord = 32 / bits;
  for (let column = 0; column < columns; column += 4) {
    const there = lanesBelow(columns - column);
    const from = src + (<usize>column << 2);
    let low = v128.and(v128.load(from), there);
    let high = low;
    let odd = none;
    for (let row = 0, at = from; row < rows; row++, at += stride) {
      const x = v128.and(v128.load(at), there);
      low = f32x4.pmin(low, x);
      high = f32x4.pmax(high, x);
      odd = f32x4.add(odd, f32x4.sub(x, x));
    }
    let scale: v128;
    let zero: v128;
    let factor: v128;
    if (symmetric) {
      const far = v128.bitselect(high, low, f32x4.gt(f32x4.abs(high), f32x4.abs(low)));
      scale = f32x4.div(far, f32x4.splat(-middle));
      zero = f32x4.splat(middle);
      factor = v128.andnot(f32x4.div(one, scale), f32x4.eq(scale, none));
    } else {
      const bottom = f32x4.min(low, none);
      scale = f32x4.div(f32x4.sub(f32x4.max(high, none), bottom), top);
      const flat = f32x4.eq(scale, none);
      const exact = f32x4.div(f32x4.neg(bottom), scale);
      const whole = f32x4.floor(exact);
      const up = v128.and(f32x4.ge(f32x4.sub(exact, whole), half), one);
      zero = v128.andnot(f32x4.min(f32x4.max(f32x4.add(whole, up), none), top), flat);
      factor = v128.andnot(f32x4.div(one, scale), flat);
    }
    let squares = none;
    let aa = none;
    let bb = none;
    let most = none;
    let relative = none;
    const to = out + <usize>column * outStride;
    let word = i32x4.splat(0);
    let filled = 0;
    let place: usize = 0;
    for (let row = 0, at = from; row < rows; row++, at += stride) {
      const x = v128.and(v128.load(at), there);
      const sum = f32x4.add(f32x4.mul(x, factor), zero);
      const whole = f32x4.floor(sum);
      // Halves away from zero; below zero everything becomes zero.
      const up = v128.and(f32x4.ge(f32x4.sub(sum, whole), half), one);
      const code = f32x4.min(f32x4.max(f32x4.add(whole, up), none), top);
      word = v128.or(word, i32x4.shl(i32x4.trunc_sat_f32x4_s(code), filled * bits));
      filled++;
      if (filled == perWord) {
        v128.store32_lane(to + place, word, 0);
        v128.store32_lane(to + outStride + place, word, 1);
        v128.store32_lane(to + 2 * outStride + place, word, 2);
        v128.store32_lane(to + 3 * outStride + place, word, 3);
        word = i32x4.splat(0);
        filled = 0;
        place += 4;
      }
      const back = f32x4.mul(f32x4.sub(code, zero), scale);
      const error = f32x4.abs(f32x4.sub(x, back));
      squares = f32x4.add(squares, f32x4.mul(error, error));
      aa = f32x4.add(aa, f32x4.mul(x, x));
      bb = f32x4.add(bb, f32x4.mul(back, back));
      most = f32x4.pmax(most, error);
      const part = v128.andnot(f32x4.div(error, f32x4.abs(x)), f32x4.eq(x, none));
      relative = f32x4.pmax(relative, part);
    }
    if (filled > 0) {
      v128.store32_lane(to + place, word, 0);
      v128.store32_lane(to + outStride + place, word, 1);
      v128.store32_lane(to + 2 * outStride + place, word, 2);
      v128.store32_lane(to + 3 * outStride + place, word, 3);
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
    store<f64>(sums, load<f64>(sums) + across(squares));
    store<f64>(sums, load<f64>(sums, 8) + across(aa), 8);
    store<f64>(sums, load<f64>(sums, 16) + across(bb), 16);
    store<f64>(sums, max(load<f64>(sums, 24), largest(most)), 24);
    store<f64>(sums, max(load<f64>(sums, 32), largest(relative)), 32);
    store<f64>(sums, load<f64>(sums, 40) + across(odd), 40);
  }
}
