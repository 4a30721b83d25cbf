// Casts between f32 and the 16-bit floats, 8 elements a step. A last partial step reads and writes past `count`:
// callers keep 32 bytes of room behind both areas. Reference: ../reference/casts.ts.

/** f32 lanes → bf16 codes in the low halves. */
// @ts-ignore: decorator
@inline
function bf16Codes(x: v128): v128 {
  const odd = v128.and(i32x4.shr_u(x, 16), i32x4.splat(1));
  let code = i32x4.shr_u(i32x4.add(i32x4.add(x, i32x4.splat(0x7fff)), odd), 16);
  const nan = f32x4.ne(x, x);
  if (v128.any_true(nan)) {
    const top = i32x4.shr_u(x, 16);
    const lost = i32x4.eq(v128.and(top, i32x4.splat(0x7f)), i32x4.splat(0));
    const kept = v128.or(top, v128.and(lost, i32x4.splat(0x40)));
    code = v128.bitselect(kept, code, nan);
  }
  return code;
}

export function castF32ToBf16(src: usize, dst: usize, count: i32): void {
  const end = src + (<usize>count << 2);
  while (src < end) {
    const low = bf16Codes(v128.load(src));
    const high = bf16Codes(v128.load(src, 16));
    v128.store(dst, i16x8.narrow_i32x4_u(low, high));
    src += 32;
    dst += 16;
  }
}

export function castBf16ToF32(src: usize, dst: usize, count: i32): void {
  const end = src + (<usize>count << 1);
  const zero = i32x4.splat(0);
  while (src < end) {
    const codes = v128.load(src);
    v128.store(dst, v128.shuffle<i16>(zero, codes, 0, 8, 1, 9, 2, 10, 3, 11));
    v128.store(dst, v128.shuffle<i16>(zero, codes, 4, 12, 5, 13, 6, 14, 7, 15), 16);
    src += 16;
    dst += 32;
  }
}

/** f32 lanes → f16 codes in the low halves. */
// @ts-ignore: decorator
@inline
function f16Codes(x: v128): v128 {
  const size = v128.and(x, i32x4.splat(0x7fffffff));
  const sign = i32x4.shr_u(v128.xor(x, size), 16);
  // Normal: rebias and round the 13 bits that go; a carry moves into the exponent as it should.
  const odd = v128.and(i32x4.shr_u(size, 13), i32x4.splat(1));
  let code = i32x4.shr_u(i32x4.add(i32x4.add(size, i32x4.splat(0xc8000fff)), odd), 13);
  const small = i32x4.lt_s(size, i32x4.splat(0x38800000));
  const large = i32x4.ge_s(size, i32x4.splat(0x47800000));
  if (v128.any_true(v128.or(small, large))) {
    // Subnormal: one ulp of 0.5 is the step of the subnormals, so the addition does the rounding.
    const stepped = i32x4.sub(f32x4.add(size, f32x4.splat(0.5)), i32x4.splat(0x3f000000));
    code = v128.bitselect(stepped, code, small);
    const payload = v128.and(i32x4.shr_u(size, 13), i32x4.splat(0x3ff));
    const lost = i32x4.eq(payload, i32x4.splat(0));
    const kept = v128.or(payload, v128.and(lost, i32x4.splat(0x200)));
    const nan = i32x4.gt_s(size, i32x4.splat(0x7f800000));
    const special = v128.or(i32x4.splat(0x7c00), v128.and(kept, nan));
    code = v128.bitselect(special, code, large);
  }
  return v128.or(code, sign);
}

export function castF32ToF16(src: usize, dst: usize, count: i32): void {
  const end = src + (<usize>count << 2);
  while (src < end) {
    const low = f16Codes(v128.load(src));
    const high = f16Codes(v128.load(src, 16));
    v128.store(dst, i16x8.narrow_i32x4_u(low, high));
    src += 32;
    dst += 16;
  }
}

/** f16 codes in 32-bit lanes → f32. */
// @ts-ignore: decorator
@inline
export function f16Values(codes: v128): v128 {
  const sign = i32x4.shl(v128.and(codes, i32x4.splat(0x8000)), 16);
  const bits = i32x4.shl(v128.and(codes, i32x4.splat(0x7fff)), 13);
  const normal = i32x4.add(bits, i32x4.splat(0x38000000));
  // Subnormal: given the exponent of 2^-14, then that is taken away again; exact.
  const stepped = f32x4.sub(i32x4.add(bits, i32x4.splat(0x38800000)), i32x4.splat(0x38800000));
  const special = v128.or(bits, i32x4.splat(0x7f800000));
  let value = v128.bitselect(stepped, normal, i32x4.lt_s(bits, i32x4.splat(0x00800000)));
  value = v128.bitselect(special, value, i32x4.ge_s(bits, i32x4.splat(0x0f800000)));
  return v128.or(value, sign);
}

/** f16 codes that are neither zero, subnormal, infinite nor NaN, in 32-bit lanes → f32. */
// @ts-ignore: decorator
@inline
function f16Normals(codes: v128): v128 {
  const sign = i32x4.shl(v128.and(codes, i32x4.splat(0x8000)), 16);
  const bits = i32x4.shl(v128.and(codes, i32x4.splat(0x7fff)), 13);
  return v128.or(i32x4.add(bits, i32x4.splat(0x38000000)), sign);
}

export function castF16ToF32(src: usize, dst: usize, count: i32): void {
  const end = src + (<usize>count << 1);
  while (src < end) {
    const codes = v128.load(src);
    const size = v128.and(codes, i16x8.splat(0x7fff));
    // Exponents 1 to 30, in one unsigned comparison.
    const normal = i16x8.lt_u(i16x8.sub(size, i16x8.splat(0x0400)), i16x8.splat(0x7800));
    const low = i32x4.extend_low_i16x8_u(codes);
    const high = i32x4.extend_high_i16x8_u(codes);
    if (i16x8.all_true(normal)) {
      v128.store(dst, f16Normals(low));
      v128.store(dst, f16Normals(high), 16);
    } else {
      v128.store(dst, f16Values(low));
      v128.store(dst, f16Values(high), 16);
    }
    src += 16;
    dst += 32;
  }
}
