import type { DType } from '../core/dtype.js';

/** Inclusive range of an integer type of at most 32 bits. */
export function integerRange(dtype: DType): readonly [number, number] | undefined {
  const match = /^([iu])(2|4|8|16|32)$/.exec(dtype);
  if (!match) return undefined;
  const bits = Number(match[2]);
  return match[1] === 'u' ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
}

const I64_MIN = -(2n ** 63n);
const I64_MAX = 2n ** 63n - 1n;
const U64_MAX = 2n ** 64n - 1n;

export const saturateI64 = (value: bigint): bigint =>
  value < I64_MIN ? I64_MIN : value > I64_MAX ? I64_MAX : value;
export const saturateU64 = (value: bigint): bigint => (value < 0n ? 0n : value > U64_MAX ? U64_MAX : value);

const scratch = new Float64Array(1);
const scratchBits = new BigUint64Array(scratch.buffer);

/**
 * The double nearest to a 64-bit integer, or, `toOdd`, the neighbour with an odd last bit where it is not exact:
 * rounding that to a narrower float gives the same as rounding the integer once.
 */
export function bigToDouble(value: bigint, toOdd: boolean): number {
  const nearest = Number(value);
  if (!toOdd) return nearest;
  const back = BigInt(nearest);
  if (back === value) return nearest;
  scratch[0] = nearest;
  const bits = scratchBits[0] ?? 0n;
  if ((bits & 1n) === 1n) return nearest;
  const away = value < 0n ? back > value : back < value;
  scratchBits[0] = away ? bits + 1n : bits - 1n;
  return scratch[0];
}

/** A double as a 64-bit integer: towards zero, NaN is 0, saturated. */
export function doubleToBig(value: number, signed: boolean): bigint {
  if (Number.isNaN(value)) return 0n;
  if (value === Infinity) return signed ? I64_MAX : U64_MAX;
  if (value === -Infinity) return signed ? I64_MIN : 0n;
  const whole = BigInt(Math.trunc(value));
  return signed ? saturateI64(whole) : saturateU64(whole);
}
