import { target, viewAs } from '../views.js';

/**
 * The casts between f32 and the 16-bit floats in plain TypeScript: what the SIMD kernels must equal bit for bit.
 * Round to nearest, ties to even; overflow is infinity; subnormals are exact. A NaN keeps its sign and the top
 * bits of its payload (so that f16 → f32 → f16 and bf16 → f32 → bf16 are the identity on every code) and becomes
 * a quiet one only where nothing of the payload is left.
 */
export function castF32ToBf16(src: Uint8Array, dst: Uint8Array, count: number): void {
  const from = viewAs(Uint32Array, src, count);
  const to = target(Uint16Array, dst, count);
  for (let i = 0; i < count; i++) {
    const x = from[i] ?? 0;
    if ((x & 0x7fffffff) > 0x7f800000) {
      const top = x >>> 16;
      to[i] = (top & 0x7f) === 0 ? top | 0x40 : top;
    } else to[i] = (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
  }
}

export function castBf16ToF32(src: Uint8Array, dst: Uint8Array, count: number): void {
  const from = viewAs(Uint16Array, src, count);
  const to = target(Uint32Array, dst, count);
  for (let i = 0; i < count; i++) to[i] = (from[i] ?? 0) << 16;
}

export function castF32ToF16(src: Uint8Array, dst: Uint8Array, count: number): void {
  const from = viewAs(Uint32Array, src, count);
  const to = target(Uint16Array, dst, count);
  for (let i = 0; i < count; i++) to[i] = f16Code(from[i] ?? 0);
}

/** f16 code of an f32 given by its bits. */
export function f16Code(x: number): number {
  const sign = (x >>> 16) & 0x8000;
  const size = x & 0x7fffffff;
  if (size > 0x7f800000) return sign | 0x7c00 | ((size >>> 13) & 0x3ff || 0x200);
  if (size >= 0x47800000) return sign | 0x7c00;
  if (size >= 0x38800000) return sign | ((size - 0x38000000 + 0xfff + ((size >>> 13) & 1)) >>> 13);
  if (size < 0x33000000) return sign;
  // Subnormal: the significand shifted down to steps of 2^-24, with the rest deciding the rounding.
  const shift = 126 - (size >>> 23);
  const significand = (size & 0x7fffff) | 0x800000;
  const steps = significand >>> shift;
  const rest = significand & (2 ** shift - 1);
  const half = 2 ** (shift - 1);
  return sign | (steps + (rest > half || (rest === half && (steps & 1) === 1) ? 1 : 0));
}

export function castF16ToF32(src: Uint8Array, dst: Uint8Array, count: number): void {
  const from = viewAs(Uint16Array, src, count);
  const to = target(Uint32Array, dst, count);
  for (let i = 0; i < count; i++) to[i] = f32Bits(from[i] ?? 0);
}

/** Bits of the f32 of an f16 code. */
export function f32Bits(h: number): number {
  const sign = (h & 0x8000) << 16;
  const exponent = (h >>> 10) & 0x1f;
  const fraction = h & 0x3ff;
  if (exponent === 0x1f) return (sign | 0x7f800000 | (fraction << 13)) >>> 0;
  if (exponent !== 0) return (sign | ((exponent + 112) << 23) | (fraction << 13)) >>> 0;
  if (fraction === 0) return sign >>> 0;
  const shift = Math.clz32(fraction) - 21;
  return (sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13)) >>> 0;
}
