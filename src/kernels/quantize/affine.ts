import { type DType, dtypeFacts } from '../../core/dtype.js';
import type { TensorSource } from '../../core/tensor.js';
import { decodeElements, encodeElements, packedBytes } from '../elements.js';
import { isSubByte, packCodes } from '../packing.js';
import { type Granularity, Groups } from './groups.js';
import { integersOf } from './integers.js';
import { type Affine, affineOf, type Rounding } from './parameters.js';
import { f32Values, mapped } from './values.js';

export interface AffineSpec extends Rounding, Granularity {
  /** Of the stored scales: f32 (default), or the type that the graph computes with. */
  readonly scaleType?: 'f32' | 'f16' | 'bf16';
}

export interface AffineTensor {
  /** Integers in the shape of the tensor, under its name; computed when they are pulled. */
  readonly codes: TensorSource;
  /** Shape of `scale` and `zeroPoint`; [] where one is for all. */
  readonly shape: readonly number[];
  readonly scaleType: DType;
  /** Canonical bytes, of `scaleType`. */
  readonly scale: Uint8Array;
  /** Canonical bytes, of the type of the codes; absent where all are zero. */
  readonly zeroPoint?: Uint8Array;
  /** What the tensor counts as now, in its own type and shape. */
  readonly dequantized: TensorSource;
}

/** Least and greatest value of every group. */
export interface Ranges {
  readonly min: Float32Array;
  readonly max: Float32Array;
  /** No NaN and no infinity among the values. */
  readonly finite: boolean;
}

/** One pass over the values; memory for the ends only. */
export async function rangesOf(tensor: TensorSource, groups: Groups): Promise<Ranges> {
  const min = new Float32Array(groups.count).fill(Number.POSITIVE_INFINITY);
  const max = new Float32Array(groups.count).fill(Number.NEGATIVE_INFINITY);
  let finite = true;
  for await (const { at, values } of f32Values(tensor))
    groups.visit(at, at + values.length, (start, length, group, steps) => {
      const from = start - at;
      if (!widen(values.subarray(from, from + length), min, max, group, steps ? 1 : 0)) finite = false;
    });
  return { min, max, finite };
}

/** Ends of the groups `first`, `first + step`, … widened to hold the values. False if one of them is no number. */
function widen(
  values: Float32Array,
  min: Float32Array,
  max: Float32Array,
  first: number,
  step: number,
): boolean {
  let check = 0;
  for (let i = 0, group = first; i < values.length; i++, group += step) {
    const x = values[i] ?? 0;
    check += x - x; // 0, or NaN for ever
    if (x < (min[group] ?? 0)) min[group] = x;
    if (x > (max[group] ?? 0)) max[group] = x;
  }
  return check === 0;
}

/** Scale and zero point of every group. */
export function parametersOf({ min, max }: Ranges, spec: AffineSpec): readonly Affine[] {
  return Array.from(min, (low, i) => affineOf(low, max[i] ?? 0, spec));
}

/**
 * A tensor as integers, with scales and zero points as onnxruntime computes them. Statistics are taken at once, in one
 * pass; codes are computed chunk by chunk. Undefined if a value is NaN or infinite: no scale fits it.
 */
export async function quantizeTensor(
  tensor: TensorSource,
  spec: AffineSpec,
): Promise<AffineTensor | undefined> {
  const groups = new Groups(tensor.info.shape, spec);
  const ranges = await rangesOf(tensor, groups);
  if (!ranges.finite) return undefined;
  return withParameters(tensor, spec, groups, parametersOf(ranges, spec));
}

/** The same with scales and zero points from elsewhere. */
export function withParameters(
  tensor: TensorSource,
  spec: AffineSpec,
  groups: Groups,
  parameters: readonly Affine[],
): AffineTensor {
  const { dtype, scaleType = 'f32' } = spec;
  // A scale that is too small for the type would become zero.
  const least = scaleType === 'f16' ? 2 ** -24 : 0;
  const scales = Float64Array.from(parameters, ({ scale }) => Math.max(scale, least));
  const scale = encoded(scaleType, scales);
  // What is stored is what counts: values are divided by the scale after its rounding.
  const stored = roundedTo(scaleType, scale, scales.length);
  const zeros = Float64Array.from(parameters, ({ zeroPoint }) => zeroPoint);
  const rounder = new Rounder(spec, groups, stored, zeros);
  return {
    codes: mapped(tensor, dtype, (values, at) => rounder.codes(values, at)),
    shape: groups.shape,
    scaleType,
    scale,
    ...(zeros.some((zero) => zero !== 0) ? { zeroPoint: encoded(dtype, zeros) } : {}),
    dequantized: mapped(tensor, tensor.info.dtype, (values, at) =>
      encoded(tensor.info.dtype, rounder.dequantized(values, at)),
    ),
  };
}

function encoded(dtype: DType, values: Float64Array): Uint8Array {
  const out = new Uint8Array(packedBytes(dtype, values.length));
  encodeElements(dtype, values, values.length, out);
  return out;
}

/** Scales as they are read back. */
function roundedTo(dtype: DType, bytes: Uint8Array, count: number): Float32Array {
  const out = new Float64Array(count);
  decodeElements(dtype, bytes, count, out);
  return Float32Array.from(out);
}

/** Values to integers and back, piece by piece. */
class Rounder {
  readonly #spec: AffineSpec;
  readonly #groups: Groups;
  readonly #scales: Float32Array;
  readonly #zeros: Float64Array;
  readonly #low: number;
  readonly #high: number;

  constructor(spec: AffineSpec, groups: Groups, scales: Float32Array, zeros: Float64Array) {
    this.#spec = spec;
    this.#groups = groups;
    this.#scales = scales;
    this.#zeros = zeros;
    ({ low: this.#low, high: this.#high } = integersOf(spec.dtype));
  }

  /** Integers of a piece that begins at element `at`, each as a number. */
  #integers(values: Float32Array, at: number): Int32Array {
    const out = new Int32Array(values.length);
    const [low, high] = [this.#low, this.#high];
    this.#groups.visit(at, at + values.length, (start, length, group, steps) => {
      const step = steps ? 1 : 0;
      for (let i = start - at, g = group; i < start - at + length; i++, g += step) {
        // The quotient of two f32 as f32, half to even: 1.5 · 2^52 takes the fraction away.
        const q =
          Math.fround((values[i] ?? 0) / (this.#scales[g] ?? 1)) + 6755399441055744 - 6755399441055744;
        const whole = q + (this.#zeros[g] ?? 0);
        out[i] = whole < low ? low : whole > high ? high : whole;
      }
    });
    return out;
  }

  codes(values: Float32Array, at: number): Uint8Array {
    const integers = this.#integers(values, at);
    const { bits } = dtypeFacts(this.#spec.dtype);
    if (bits === 16) return new Uint8Array(Int16Array.from(integers).buffer);
    const bytes = Uint8Array.from(integers, (q) => q & 255);
    if (!isSubByte(bits)) return bytes;
    const mask = 2 ** bits - 1;
    const packed = new Uint8Array(Math.ceil((bytes.length * bits) / 8));
    packCodes(
      bytes.map((q) => q & mask),
      bits,
      bytes.length,
      packed,
    );
    return packed;
  }

  dequantized(values: Float32Array, at: number): Float64Array {
    const integers = this.#integers(values, at);
    const out = new Float64Array(values.length);
    this.#groups.visit(at, at + values.length, (start, length, group, steps) => {
      const step = steps ? 1 : 0;
      for (let i = start - at, g = group; i < start - at + length; i++, g += step)
        out[i] = Math.fround(((integers[i] ?? 0) - (this.#zeros[g] ?? 0)) * (this.#scales[g] ?? 1));
    });
    return out;
  }
}

/** Bytes of what is stored in place of a tensor. */
export const storedBytes = ({ codes, scale, zeroPoint }: AffineTensor): number =>
  codes.byteLength + scale.length + (zeroPoint?.length ?? 0);
