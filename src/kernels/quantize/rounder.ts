import { dtypeFacts } from '../../core/dtype.js';
import { isSubByte, packCodes } from '../packing.js';
import type { Groups } from './groups.js';
import { integersOf, type QuantizedType } from './integers.js';
import { reciprocals } from './nbits.js';

/** Adding 1.5 · 2^52 and taking it away again leaves the nearest integer, half to even. */
const MAGIC = 6755399441055744;

/** Values to integers and back, piece by piece. */
export class Rounder {
  readonly #dtype: QuantizedType;
  readonly #groups: Groups;
  readonly #scales: Float32Array;
  readonly #zeros: Int32Array;
  readonly #factors: Float32Array | undefined;

  constructor(
    dtype: QuantizedType,
    groups: Groups,
    scales: Float32Array,
    zeros: Int32Array,
    rule: 'linear' | 'nbits',
  ) {
    this.#dtype = dtype;
    this.#groups = groups;
    this.#scales = scales;
    this.#zeros = zeros;
    this.#factors = rule === 'nbits' ? reciprocals(scales) : undefined;
  }

  /** Integers of a piece that begins at element `at`, each as a number. */
  integers(values: Float32Array, at: number): Int32Array {
    const out = new Int32Array(values.length);
    this.#groups.visit(at, at + values.length, (start, length, group, steps) => {
      const [from, step] = [start - at, steps ? 1 : 0];
      if (this.#factors) this.#scaled(values, out, from, from + length, group, step, this.#factors);
      else this.#divided(values, out, from, from + length, group, step);
    });
    return out;
  }

  #divided(
    values: Float32Array,
    out: Int32Array,
    from: number,
    to: number,
    group: number,
    step: number,
  ): void {
    const { low, high } = integersOf(this.#dtype);
    for (let i = from, g = group; i < to; i++, g += step) {
      const q = Math.fround((values[i] ?? 0) / (this.#scales[g] ?? 1)) + MAGIC - MAGIC;
      const whole = q + (this.#zeros[g] ?? 0);
      out[i] = whole < low ? low : whole > high ? high : whole;
    }
  }

  #scaled(
    ...args: [
      values: Float32Array,
      out: Int32Array,
      from: number,
      to: number,
      group: number,
      step: number,
      factors: Float32Array,
    ]
  ): void {
    const [values, out, from, to, group, step, factors] = args;
    const { low, high } = integersOf(this.#dtype);
    const top = high - low;
    for (let i = from, g = group; i < to; i++, g += step) {
      const product = Math.fround((values[i] ?? 0) * (factors[g] ?? 0));
      const whole = Math.floor(Math.fround(product + (this.#zeros[g] ?? 0) - low) + 0.5);
      out[i] = (whole < 0 ? 0 : whole > top ? top : whole) + low;
    }
  }

  /** Packed integers. */
  codes(values: Float32Array, at: number): Uint8Array {
    const integers = this.integers(values, at);
    const { bits } = dtypeFacts(this.#dtype);
    if (bits === 16) return new Uint8Array(new Int16Array(integers).buffer);
    const bytes = new Uint8Array(integers);
    if (!isSubByte(bits)) return bytes;
    const mask = 2 ** bits - 1;
    for (let i = 0; i < bytes.length; i++) bytes[i] = (bytes[i] ?? 0) & mask;
    const packed = new Uint8Array(Math.ceil((integers.length * bits) / 8));
    packCodes(bytes, bits, integers.length, packed);
    return packed;
  }

  /** What values count as once they are integers: f32 numbers. */
  dequantized(values: Float32Array, at: number): Float64Array {
    const integers = this.integers(values, at);
    const out = new Float64Array(values.length);
    this.#groups.visit(at, at + values.length, (start, length, group, steps) => {
      const step = steps ? 1 : 0;
      for (let i = start - at, g = group; i < start - at + length; i++, g += step)
        out[i] = Math.fround(((integers[i] ?? 0) - (this.#zeros[g] ?? 0)) * (this.#scales[g] ?? 1));
    });
    return out;
  }
}
