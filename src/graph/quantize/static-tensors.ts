import type { DType } from '../../core/dtype.js';
import { elementCount } from '../../core/dtype.js';
import { memoryTensor, readTensor, type TensorSource } from '../../core/tensor.js';
import {
  type AffineTensor,
  parametersOf,
  quantizeTensor,
  rangesOf,
  storedBytes,
  withParameters,
} from '../../kernels/quantize/affine.js';
import { Groups } from '../../kernels/quantize/groups.js';
import type { QuantizedType } from '../../kernels/quantize/integers.js';
import { affineOf, roundHalfEven } from '../../kernels/quantize/parameters.js';
import type { GraphEdit } from '../edit.js';
import type { ActivationRange, QuantizedTensor } from './types.js';

/** Names of initializers that hold a quantized tensor. */
export interface StoredTensor {
  readonly codes: string;
  readonly scale: string;
  readonly zeroPoint: string;
  /** Where every index along an axis has its own scale. */
  readonly axis?: number;
  readonly scales: Float32Array;
}

/** Names of the initializers with the scale of a value. */
export interface StoredScale {
  readonly scale: string;
  readonly zeroPoint: string;
  readonly value: number;
}

/** Integers of a bias are sums of products: the largest that 32 bits hold. */
const LARGEST_BIAS = 2 ** 31 - 1;

/** What integers stand for weights, and for activations. */
export interface IntegerTypes {
  readonly weights: {
    readonly dtype: QuantizedType;
    readonly symmetric: boolean;
    readonly reduceRange?: boolean;
  };
  readonly activations: { readonly dtype: QuantizedType; readonly symmetric: boolean };
}

/** Makes the initializers that quantized nodes take, each once. */
export class StaticTensors {
  readonly #edit: GraphEdit;
  readonly #types: IntegerTypes;
  readonly #scheme: string;
  readonly #made = new Map<string, StoredTensor>();
  readonly quantized: QuantizedTensor[] = [];

  constructor(edit: GraphEdit, types: IntegerTypes, scheme: string) {
    this.#edit = edit;
    this.#types = types;
    this.#scheme = scheme;
  }

  scale(name: string, range: ActivationRange): StoredScale {
    const { activations } = this.#types;
    const { scale, zeroPoint } = affineOf(range.min, range.max, activations);
    return {
      scale: this.#edit.addBytes(`${name}_scale`, 'f32', [], bytesOf(Float32Array.of(scale))),
      zeroPoint: this.#edit.addBytes(
        `${name}_zero_point`,
        activations.dtype,
        [],
        integers(activations.dtype, [zeroPoint]),
      ),
      value: scale,
    };
  }

  /**
   * A weight; undefined if it holds what is no number. `bias` with the scale of what the weight is multiplied with:
   * scales are raised where the bias would not fit into 32 bits.
   */
  async weight(
    name: string,
    axis: number | undefined,
    bias: { readonly name: string; readonly input: number } | undefined,
  ): Promise<StoredTensor | undefined> {
    const tensor = this.#tensor(name);
    const spec = { ...this.#types.weights, ...(axis === undefined ? {} : { axis }) };
    const groups = new Groups(tensor.info.shape, spec);
    const ranges = await rangesOf(tensor, groups);
    if (!ranges.finite) return undefined;
    const parameters = parametersOf(ranges, spec);
    const least = bias ? await this.#leastScales(bias, parameters.scales.length) : [];
    if (least === undefined) return undefined;
    for (const [i, floor] of least.entries()) {
      const found = parameters.scales[i] ?? 1;
      if (found >= floor) continue;
      const wider = floor / found;
      const { scale, zeroPoint } = affineOf((ranges.min[i] ?? 0) * wider, (ranges.max[i] ?? 0) * wider, spec);
      parameters.scales[i] = scale;
      parameters.zeros[i] = zeroPoint;
    }
    // Kernels take one zero point for all channels, those without any weight included.
    if (spec.symmetric && spec.dtype === 'u8') parameters.zeros.fill(affineOf(-1, 1, spec).zeroPoint);
    const key = JSON.stringify([name, axis, ...parameters.scales]);
    return this.#store(key, name, axis, withParameters(tensor, spec, parameters), spec.dtype);
  }

  /** A constant that is added or multiplied like an activation. */
  async constant(name: string): Promise<StoredTensor | undefined> {
    const tensor = this.#tensor(name);
    const spec = this.#types.activations;
    const made = await quantizeTensor(tensor, spec);
    if (!made) return undefined;
    return this.#store(JSON.stringify([name]), name, undefined, made, spec.dtype);
  }

  /** A bias as 32-bit integers: its scale is the product of the two that its sums have, its zero point zero. */
  async bias(name: string, input: number, weight: StoredTensor): Promise<StoredTensor> {
    const values = await this.#values(name);
    const scales = weight.scales.map((scale) => Math.fround(scale * input));
    const codes = Int32Array.from(values, (x, i) => {
      const exact = roundHalfEven(x / (scales[i % scales.length] ?? 1));
      return Math.max(-LARGEST_BIAS - 1, Math.min(LARGEST_BIAS, exact));
    });
    const back = Float32Array.from(codes, (q, i) => q * (scales[i % scales.length] ?? 1));
    const key = JSON.stringify([name, ...scales]);
    const shape = [values.length];
    const shared = weight.axis === undefined ? [] : [scales.length];
    const made: AffineTensor = {
      codes: memoryTensor({ name, dtype: 'i32', shape }, bytesOf(codes)),
      shape: shared,
      scaleType: 'f32',
      scale: bytesOf(scales),
      zeroPoint: new Uint8Array(4 * scales.length),
      dequantized: memoryTensor({ name, dtype: 'f32', shape }, bytesOf(back)),
    };
    return this.#store(key, name, weight.axis === undefined ? undefined : 0, made, 'i32');
  }

  #store(
    key: string,
    name: string,
    axis: number | undefined,
    made: AffineTensor,
    dtype: DType,
  ): StoredTensor {
    const known = this.#made.get(key);
    if (known) return known;
    const { codes, shape, scale, dequantized } = made;
    const zeroPoint =
      made.zeroPoint ??
      integers(
        dtype,
        Array.from({ length: elementCount(shape) }, () => 0),
      );
    const stored: StoredTensor = {
      codes: this.#edit.add(`${name}_quantized`, codes),
      scale: this.#edit.addBytes(`${name}_scale`, 'f32', shape, scale),
      zeroPoint: this.#edit.addBytes(`${name}_zero_point`, dtype, shape, zeroPoint),
      ...(axis === undefined ? {} : { axis }),
      scales: new Float32Array(scale.slice().buffer),
    };
    this.#made.set(key, stored);
    if (!this.quantized.some((one) => one.name === name))
      this.quantized.push({
        name,
        scheme: this.#scheme,
        dtypeOut: dtype,
        bytesOut: storedBytes({ ...made, zeroPoint }),
        dequantized,
      });
    return stored;
  }

  /** Scales of the weight below which the bias has no 32-bit integer; undefined if the bias is no number somewhere. */
  async #leastScales(
    { name, input }: { readonly name: string; readonly input: number },
    count: number,
  ): Promise<readonly number[] | undefined> {
    const values = await this.#values(name);
    if (!values.every(Number.isFinite)) return undefined;
    const least = Float64Array.from(values, (x) => (Math.abs(x) / input / LARGEST_BIAS) * 1.001);
    return count === 1 ? [least.reduce((a, b) => Math.max(a, b), 0)] : [...least];
  }

  async #values(name: string): Promise<Float32Array> {
    const bytes = await readTensor(this.#tensor(name));
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  }

  #tensor(name: string): TensorSource {
    const tensor = this.#edit.tensor(name);
    if (!tensor) throw new Error(`${name} is no constant`);
    return tensor;
  }
}

const bytesOf = (values: Float32Array | Int32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** Canonical bytes of a few integers. */
function integers(dtype: DType, values: readonly number[]): Uint8Array {
  if (dtype === 'i8' || dtype === 'u8') return Uint8Array.from(values, (q) => q & 255);
  const wide = dtype === 'i32' ? Int32Array.from(values) : Int16Array.from(values);
  return new Uint8Array(wide.buffer);
}
