import type { AffineSpec } from './affine.js';
import type { Groups } from './groups.js';
import { integersOf } from './integers.js';
import { reciprocals } from './nbits.js';

/** Adding 1.5 · 2^52 and taking it away again leaves the nearest integer, half to even. */
const MAGIC = 6755399441055744;

/** Scales that are tried, and what else decides about a group. */
interface Try {
  readonly scales: Float32Array;
  /** Where values are multiplied with them, by the rule of MatMulNBits. */
  readonly factors: Float32Array | undefined;
  readonly zeros: Int32Array;
  readonly low: number;
  readonly high: number;
  /** Of every group, so far. */
  readonly errors: Float64Array;
}

/** Squared errors of rounding by several scales, group by group, in one pass: what `Rounder` would lose. */
export class SquaredErrors {
  readonly #groups: Groups;
  readonly #tries: readonly Try[];

  constructor(
    { dtype, rule }: AffineSpec,
    groups: Groups,
    scales: readonly Float32Array[],
    zeros: Int32Array,
  ) {
    this.#groups = groups;
    const { low, high } = integersOf(dtype);
    this.#tries = scales.map((tried) => ({
      ...{ scales: tried, zeros, low, high },
      factors: rule === 'nbits' ? reciprocals(tried) : undefined,
      errors: new Float64Array(groups.count),
    }));
  }

  /** Of each of the scales. */
  get all(): readonly Float64Array[] {
    return this.#tries.map(({ errors }) => errors);
  }

  /** A piece that begins at element `at`. */
  add(values: Float32Array, at: number): void {
    this.#groups.visit(at, at + values.length, (start, length, group, steps) => {
      const [from, to] = [start - at, start - at + length];
      for (const one of this.#tries)
        if (!steps) addRun(one, values, from, to, group);
        else for (let i = from, g = group; i < to; i++, g++) addRun(one, values, i, i + 1, g);
    });
  }
}

/** Values [from, to) of one group. */
function addRun(
  { scales, factors, zeros, low, high, errors }: Try,
  values: Float32Array,
  from: number,
  to: number,
  group: number,
): void {
  const scale = scales[group] ?? 1;
  const zero = zeros[group] ?? 0;
  let sum = errors[group] ?? 0;
  if (factors) {
    const factor = factors[group] ?? 0;
    const top = high - low;
    for (let i = from; i < to; i++) {
      const value = values[i] ?? 0;
      const whole = Math.floor(Math.fround(Math.fround(value * factor) + zero - low) + 0.5);
      const integer = (whole < 0 ? 0 : whole > top ? top : whole) + low;
      const error = value - Math.fround((integer - zero) * scale);
      sum += error * error;
    }
  } else
    for (let i = from; i < to; i++) {
      const value = values[i] ?? 0;
      const whole = Math.fround(value / scale) + MAGIC - MAGIC + zero;
      const integer = whole < low ? low : whole > high ? high : whole;
      const error = value - Math.fround((integer - zero) * scale);
      sum += error * error;
    }
  errors[group] = sum;
}
