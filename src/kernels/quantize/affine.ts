import { type DType, dtypeFacts, elementCount } from '../../core/dtype.js';
import type { TensorSource } from '../../core/tensor.js';
import { decodeElements } from '../elements.js';
import { encoded } from './codes.js';
import { decodedTensor, shared } from './decode.js';
import { type Granularity, Groups } from './groups.js';
import type { QuantizedType } from './integers.js';
import { nbitsOf } from './nbits.js';
import { affineOf, type Rounding } from './parameters.js';
import { Rounder } from './rounder.js';
import { f32Values, mapped } from './values.js';

export interface AffineSpec extends Rounding, Granularity {
  /** Of the stored scales: f32 (default), or the type that the graph computes with. */
  readonly scaleType?: 'f32' | 'f16' | 'bf16';
  /** How scales are chosen and values rounded: as QuantizeLinear (default), or as MatMulNBits. */
  readonly rule?: 'linear' | 'nbits';
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

/** Scale and zero point of every group. */
export interface Parameters {
  readonly scales: Float32Array;
  readonly zeros: Int32Array;
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

export function parametersOf({ min, max }: Ranges, spec: AffineSpec): Parameters {
  const scales = new Float32Array(min.length);
  const zeros = new Int32Array(min.length);
  for (let i = 0; i < min.length; i++) {
    const [low, high] = [min[i] ?? 0, max[i] ?? 0];
    const { scale, zeroPoint } =
      spec.rule === 'nbits' ? nbitsOf(low, high, spec.dtype, spec.symmetric) : affineOf(low, high, spec);
    scales[i] = scale;
    zeros[i] = zeroPoint;
  }
  return { scales, zeros };
}

/**
 * A tensor as integers, with scales and zero points as onnxruntime computes them. Statistics are taken at once, in one
 * pass; codes are computed chunk by chunk. Undefined if a value is NaN or infinite: no scale fits it.
 */
export async function quantizeTensor(
  tensor: TensorSource,
  spec: AffineSpec,
): Promise<AffineTensor | undefined> {
  const parameters = await fitted(tensor, spec);
  return parameters && withParameters(tensor, spec, parameters);
}

/** Scale and zero point of every group, from the values. Undefined if one of them is NaN or infinite. */
export async function fitted(tensor: TensorSource, spec: AffineSpec): Promise<Parameters | undefined> {
  const groups = new Groups(tensor.info.shape, spec);
  const ranges = await rangesOf(tensor, groups);
  return ranges.finite ? parametersOf(ranges, spec) : undefined;
}

/** The same with scales and zero points from elsewhere. */
export function withParameters(
  tensor: TensorSource,
  spec: AffineSpec,
  { scales, zeros }: Parameters,
): AffineTensor {
  const { dtype, scaleType = 'f32', rule = 'linear' } = spec;
  const { info } = tensor;
  const groups = new Groups(info.shape, spec);
  const scale = encodeScales(scaleType, scales);
  // What is stored is what counts: values are divided by the scale after its rounding.
  const rounder = new Rounder(dtype, groups, heldScales(scaleType, scales), zeros, rule);
  return {
    codes: mapped(tensor, dtype, (values, at) => rounder.codes(values, at)),
    shape: groups.shape,
    scaleType,
    scale,
    ...(zeros.some((zero) => zero !== 0) ? { zeroPoint: encoded(dtype, new Float64Array(zeros)) } : {}),
    dequantized: mapped(tensor, info.dtype, (values, at) =>
      encoded(info.dtype, rounder.dequantized(values, at)),
    ),
  };
}

/** What a tensor counts as, from the values alone: scales are found again when it is pulled. */
export function refitted(tensor: TensorSource, spec: AffineSpec): TensorSource {
  const { info, byteLength } = tensor;
  return {
    info,
    byteLength,
    async *stream(range = { start: 0, end: byteLength }) {
      const parameters = await fitted(tensor, spec);
      if (!parameters) throw new Error(`${info.name} has ${elementCount(info.shape)} values, not all finite`);
      yield* withParameters(tensor, spec, parameters).dequantized.stream(range);
    },
  };
}

/** Bytes of scales. */
export function encodeScales(dtype: DType, scales: ArrayLike<number>): Uint8Array {
  // A scale that is too small for the type would become zero.
  const least = dtype === 'f16' ? 2 ** -24 : 0;
  const held = new Float64Array(scales.length);
  for (let i = 0; i < held.length; i++) {
    const scale = scales[i] ?? 0;
    held[i] = scale !== 0 && Math.abs(scale) < least ? Math.sign(scale) * least : scale;
  }
  return encoded(dtype, held);
}

/** Scales as they are once they are stored. */
export function heldScales(dtype: DType, scales: Float32Array): Float32Array {
  if (dtype === 'f32') return scales;
  const out = new Float64Array(scales.length);
  decodeElements(dtype, encodeScales(dtype, scales), scales.length, out);
  return new Float32Array(out);
}

/** The same with integers from elsewhere, packed, in the shape of the tensor. */
export function withCodes(
  { info }: TensorSource,
  spec: AffineSpec,
  { scales, zeros }: Parameters,
  codes: TensorSource,
): AffineTensor {
  const { dtype, scaleType = 'f32' } = spec;
  const held = { scales: heldScales(scaleType, scales), zeros };
  return {
    codes,
    shape: new Groups(info.shape, spec).shape,
    scaleType,
    scale: encodeScales(scaleType, scales),
    ...(zeros.some((zero) => zero !== 0) ? { zeroPoint: encoded(dtype, new Float64Array(zeros)) } : {}),
    dequantized: integersBack(codes, { ...spec, shape: info.shape }, info.dtype, held),
  };
}

/** Bytes of what is stored in place of a tensor. */
export const storedBytes = ({ codes, scale, zeroPoint }: AffineTensor): number =>
  codes.byteLength + scale.length + (zeroPoint?.length ?? 0);

/** The values of type `to` that integers stand for, in the shape of their tensor. */
export const integersBack = (
  codes: TensorSource,
  {
    shape,
    axis,
    block,
    dtype,
  }: Granularity & { readonly shape: readonly number[]; readonly dtype: QuantizedType },
  to: DType,
  { scales, zeros }: Parameters,
): TensorSource =>
  decodedTensor(codes, shape, to, {
    ...{ kind: 'integers', tensor: codes.info.name, bits: dtypeFacts(dtype).bits, dtype, shape },
    ...(axis === undefined ? {} : { axis }),
    ...(block === undefined ? {} : { block }),
    scales: shared(scales),
    zeros: shared(zeros),
  });
