import { type DType, dtypeFacts } from '../core/dtype.js';
import { bigToDouble, doubleToBig, integerRange } from './integers.js';
import { isSubByte, packCodes, unpackCodes } from './packing.js';
import { isSmallFloat, smallFloatEncoder, smallFloatValues } from './small-floats.js';
import { target, viewAs } from './views.js';

/** Types whose elements are single numbers: floats, integers and booleans. */
export const isNumeric = (dtype: DType): boolean =>
  ['float', 'int', 'uint', 'bool'].includes(dtypeFacts(dtype).kind);

/** Bytes of `count` packed elements. */
export const packedBytes = (dtype: DType, count: number): number =>
  Math.ceil((count * dtypeFacts(dtype).bits) / 8);

const codeValues = new Map<DType, Float64Array>();

/** Value of every code of a type of at most 16 bits; index = code. */
export function valuesOfCodes(dtype: DType): Float64Array {
  const known = codeValues.get(dtype);
  if (known) return known;
  const { bits, kind } = dtypeFacts(dtype);
  if (bits > 16) throw new Error(`${dtype} has too many codes for a table`);
  const half = 2 ** (bits - 1);
  const table = isSmallFloat(dtype)
    ? smallFloatValues(dtype)
    : Float64Array.from({ length: 2 ** bits }, (_, code) => {
        if (kind === 'bool') return code === 0 ? 0 : 1;
        return kind === 'int' && code >= half ? code - 2 * half : code;
      });
  codeValues.set(dtype, table);
  return table;
}

/** The codes of a type of at most 16 bits as unsigned numbers. */
export function codesOf(dtype: DType, bytes: Uint8Array, count: number): Uint8Array | Uint16Array {
  const { bits } = dtypeFacts(dtype);
  if (bits === 16) return viewAs(Uint16Array, bytes, count);
  if (bits === 8) return bytes.subarray(0, count);
  if (!isSubByte(bits)) throw new Error(`${dtype} has no codes`);
  const codes = new Uint8Array(count);
  unpackCodes(bytes, bits, count, codes);
  return codes;
}

/**
 * Elements as doubles: exact, except 64-bit integers past 2^53, which are rounded to nearest or (`toOdd`) so
 * that one more rounding to a narrower float stays correct.
 */
export function decodeElements(
  dtype: DType,
  bytes: Uint8Array,
  count: number,
  out: Float64Array,
  toOdd = false,
): void {
  switch (dtype) {
    case 'f64':
      out.set(viewAs(Float64Array, bytes, count));
      return;
    case 'f32':
      out.set(viewAs(Float32Array, bytes, count));
      return;
    case 'i32':
      out.set(viewAs(Int32Array, bytes, count));
      return;
    case 'u32':
      out.set(viewAs(Uint32Array, bytes, count));
      return;
    case 'i64':
    case 'u64':
      decode64(bytes, count, out, dtype === 'i64', toOdd);
      return;
    default: {
      const table = valuesOfCodes(dtype);
      const codes = codesOf(dtype, bytes, count);
      for (let i = 0; i < count; i++) out[i] = table[codes[i] ?? 0] ?? 0;
    }
  }
}

function decode64(
  bytes: Uint8Array,
  count: number,
  out: Float64Array,
  signed: boolean,
  toOdd: boolean,
): void {
  const words = viewAs(Uint32Array, alignedWords(bytes, count), count * 2);
  for (let i = 0; i < count; i++) {
    const low = words[2 * i] ?? 0;
    const high = signed ? (words[2 * i + 1] ?? 0) | 0 : (words[2 * i + 1] ?? 0);
    // Both parts and their sum are exact below 2^53; past it the sum is rounded once, to nearest.
    out[i] =
      toOdd && (high >= 0x200000 || high < -0x200000)
        ? bigToDouble((BigInt(high) << 32n) | BigInt(low), true)
        : high * 4294967296 + low;
  }
}

const alignedWords = (bytes: Uint8Array, count: number): Uint8Array =>
  bytes.byteOffset % 4 === 0 ? bytes : bytes.slice(0, count * 8);

/**
 * Doubles as elements. Floats: rounded once to nearest, ties to even (see smallFloatEncoder for overflow).
 * Integers: towards zero, saturated, NaN is 0. Booleans: 1 unless the value is zero.
 */
export function encodeElements(dtype: DType, values: Float64Array, count: number, out: Uint8Array): void {
  const from = values.subarray(0, count);
  const range = integerRange(dtype);
  if (dtype === 'f64') target(Float64Array, out, count).set(from);
  else if (dtype === 'f32') target(Float32Array, out, count).set(from);
  else if (dtype === 'i64' || dtype === 'u64') encode64(from, out, dtype === 'i64');
  else if (dtype === 'bool') for (let i = 0; i < count; i++) out[i] = from[i] === 0 ? 0 : 1;
  else if (range) encodeInteger(dtype, from, out, range);
  else encodeSmallFloat(dtype, from, out);
}

function encode64(values: Float64Array, out: Uint8Array, signed: boolean): void {
  const count = values.length;
  const words = target(Uint32Array, out, count * 2);
  for (let i = 0; i < count; i++) {
    const value = Math.trunc(values[i] ?? 0);
    const low = signed ? -9007199254740992 : 0;
    if (value >= low && value <= 9007199254740992) {
      const high = Math.floor(value / 4294967296);
      words[2 * i] = value - high * 4294967296;
      words[2 * i + 1] = high;
    } else {
      const big = BigInt.asUintN(64, doubleToBig(value, signed));
      words[2 * i] = Number(big & 0xffffffffn);
      words[2 * i + 1] = Number(big >> 32n);
    }
  }
}

function encodeInteger(
  dtype: DType,
  values: Float64Array,
  out: Uint8Array,
  [low, high]: readonly [number, number],
): void {
  const { bits } = dtypeFacts(dtype);
  const count = values.length;
  const packed = isSubByte(bits);
  const to =
    bits === 32
      ? target(Uint32Array, out, count)
      : bits === 16
        ? target(Uint16Array, out, count)
        : packed
          ? new Uint8Array(count)
          : out;
  const mask = packed ? 2 ** bits - 1 : -1;
  for (let i = 0; i < count; i++) {
    const value = values[i] ?? 0;
    // The comparisons are false for NaN, which the final conversion makes 0.
    const inside = value < low ? low : value > high ? high : value;
    to[i] = packed ? inside & mask : Math.trunc(inside);
  }
  if (packed && to instanceof Uint8Array) packCodes(to, bits, count, out);
}

function encodeSmallFloat(dtype: DType, values: Float64Array, out: Uint8Array): void {
  const { bits } = dtypeFacts(dtype);
  const count = values.length;
  const encode = smallFloatEncoder(dtype);
  if (bits === 16) {
    const to = target(Uint16Array, out, count);
    for (let i = 0; i < count; i++) to[i] = encode(values[i] ?? 0);
    return;
  }
  const to = isSubByte(bits) ? new Uint8Array(count) : out;
  for (let i = 0; i < count; i++) to[i] = encode(values[i] ?? 0);
  if (isSubByte(bits)) packCodes(to, bits, count, out);
}
