import type { DType } from '../core/dtype.js';

/** What becomes of a finite value past the largest one, and of infinities. */
type Overflow = 'infinity' | 'saturate' | 'nan';

/**
 * An IEEE-like binary format of at most 16 bits. A code is sign, exponent, mantissa from the top.
 * Sources: IEEE 754 (f16), OCP 8-bit Floating Point 1.0 (e4m3fn, e5m2), OCP Microscaling Formats 1.0 (e8m0,
 * f6, f4), arXiv:2206.02915 (the fnuz pair).
 */
interface SmallFloat {
  readonly bits: number;
  readonly mantissa: number;
  /** Unbiased exponent of the smallest normal number, and of every subnormal. */
  readonly minExponent: number;
  /** Code of the largest finite value. */
  readonly maxCode: number;
  readonly signed: boolean;
  readonly subnormals: boolean;
  /** Written for a NaN; also the test for one, unless the format has several. -1: the format has none. */
  readonly nan: number;
  readonly infinity?: number;
  /** Follows the library that makes such files: torch for the 8-bit floats, ml_dtypes for e8m0, f6 and f4. */
  readonly overflow: Overflow;
  /** Only one zero; its negative would be the NaN. */
  readonly unsignedZero?: boolean;
}

const FORMATS = new Map<DType, SmallFloat>([
  ['f16', float(16, 10, -14, 0x7bff, 0x7e00, 'infinity', { infinity: 0x7c00 })],
  ['bf16', float(16, 7, -126, 0x7f7f, 0x7fc0, 'infinity', { infinity: 0x7f80 })],
  ['f8_e4m3fn', float(8, 3, -6, 0x7e, 0x7f, 'saturate')],
  ['f8_e5m2', float(8, 2, -14, 0x7b, 0x7f, 'infinity', { infinity: 0x7c })],
  ['f8_e4m3fnuz', float(8, 3, -7, 0x7f, 0x80, 'nan', { unsignedZero: true })],
  ['f8_e5m2fnuz', float(8, 2, -15, 0x7f, 0x80, 'nan', { unsignedZero: true })],
  ['f8_e8m0', float(8, 0, -127, 0xfe, 0xff, 'nan', { signed: false, subnormals: false })],
  ['f6_e2m3', float(6, 3, 0, 0x1f, -1, 'saturate')],
  ['f6_e3m2', float(6, 2, -2, 0x1f, -1, 'saturate')],
  ['f4_e2m1', float(4, 1, 0, 0x7, -1, 'saturate')],
]);

function float(
  bits: number,
  mantissa: number,
  minExponent: number,
  maxCode: number,
  nan: number,
  overflow: Overflow,
  extra: Partial<SmallFloat> = {},
): SmallFloat {
  return { bits, mantissa, minExponent, maxCode, nan, overflow, signed: true, subnormals: true, ...extra };
}

export const isSmallFloat = (dtype: DType): boolean => FORMATS.has(dtype);

function format(dtype: DType): SmallFloat {
  const found = FORMATS.get(dtype);
  if (!found) throw new Error(`${dtype} is no small float`);
  return found;
}

const values = new Map<DType, Float64Array>();

/** The value of every code; index = code. */
export function smallFloatValues(dtype: DType): Float64Array {
  const known = values.get(dtype);
  if (known) return known;
  const f = format(dtype);
  const table = Float64Array.from({ length: 2 ** f.bits }, (_, code) => codeValue(f, code));
  values.set(dtype, table);
  return table;
}

function codeValue(f: SmallFloat, code: number): number {
  const signBit = f.signed ? 2 ** (f.bits - 1) : 0;
  const negative = (code & signBit) !== 0;
  const magnitude = code & (f.signed ? signBit - 1 : 2 ** f.bits - 1);
  if (f.nan !== -1 && (code === f.nan || (!f.unsignedZero && magnitude > (f.infinity ?? f.maxCode))))
    return NaN;
  const sign = negative ? -1 : 1;
  if (magnitude === f.infinity) return sign * Infinity;
  const exponent = magnitude >> f.mantissa;
  const fraction = magnitude & (2 ** f.mantissa - 1);
  const scale = (e: number): number => 2 ** (f.minExponent + e - f.mantissa);
  if (!f.subnormals) return 2 ** (f.minExponent + exponent);
  if (exponent === 0) return sign * fraction * scale(0);
  return sign * (fraction + 2 ** f.mantissa) * scale(exponent - 1);
}

const scratch = new Float64Array(1);
const scratchHigh = new Uint32Array(scratch.buffer);

/** Unbiased exponent of a positive normal double. */
function exponentOf(value: number): number {
  scratch[0] = value;
  return (((scratchHigh[1] ?? 0) >>> 20) & 0x7ff) - 1023;
}

/**
 * Code of a double, rounded once to nearest, ties to even. Overflow: f16, bf16, e5m2 → infinity; e4m3fn, f6, f4
 * → largest finite value (infinities too); the fnuz pair → NaN. NaN → NaN, or zero where there is none (f6, f4).
 * e8m0 holds powers of two only: zero and negative values → NaN.
 */
export function smallFloatEncoder(dtype: DType): (value: number) => number {
  const f = format(dtype);
  const signBit = f.signed ? 2 ** (f.bits - 1) : 0;
  const hidden = 2 ** f.mantissa;
  const tiny = 2 ** Math.max(f.minExponent, -1022);
  const tooLarge =
    f.overflow === 'infinity' ? (f.infinity ?? f.maxCode) : f.overflow === 'nan' ? f.nan : f.maxCode;
  return (value) => {
    if (Number.isNaN(value)) return f.nan === -1 ? 0 : f.nan;
    const negative = value < 0 || Object.is(value, -0);
    if (!f.signed && (negative || value === 0)) return f.nan;
    const sign = negative ? signBit : 0;
    const size = Math.abs(value);
    if (size === Infinity) return tooLarge === f.nan ? f.nan : tooLarge | sign;
    const exponent = size < tiny ? f.minExponent : exponentOf(size);
    const steps = size / 2 ** (exponent - f.mantissa);
    let rounded = Math.floor(steps);
    const rest = steps - rounded;
    if (rest > 0.5 || (rest === 0.5 && (rounded & 1) === 1)) rounded++;
    const magnitude = (exponent - f.minExponent) * hidden + rounded - (f.subnormals ? 0 : 1);
    if (magnitude > f.maxCode) return tooLarge === f.nan ? f.nan : tooLarge | sign;
    if (magnitude <= 0) return f.subnormals ? (f.unsignedZero ? 0 : sign) : 0;
    return magnitude | sign;
  };
}
