import { tensorBytes } from '../../core/dtype.js';
import { type Model, tensorMap } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import { type AffineSpec, quantizeTensor, withParameters } from '../../kernels/quantize/affine.js';
import { Groups } from '../../kernels/quantize/groups.js';
import type { LinearJob, QuantizedAffine } from '../../kernels/quantize/linear-pool.js';
import { viewAs } from '../../kernels/views.js';
import type { GraphEdit } from '../edit.js';
import type { DynamicRemarks } from './dynamic-remarks.js';
import { reshaped, turnedTensor } from './turned.js';
import type { QuantizedTensor, QuantizeSettings } from './types.js';

/** How a node wants to have a weight. */
export interface WeightForm {
  readonly dtype: 'i8' | 'u8';
  /** Zero point in the middle. Default: as asked for, or where the integers are signed. */
  readonly symmetric?: boolean;
  /** A scale for every index of this axis; absent: one for all. */
  readonly axis?: number;
  /** The shape in which the axis counts, where axes are joined so that every pair has a scale. */
  readonly shape?: readonly number[];
  /** Shape of scales and zero points. Default: the axis. */
  readonly scales?: readonly number[];
  /** The last two axes change places. */
  readonly turned?: boolean;
}

/** Names of the initializers that stand for a weight. */
export interface StoredWeight {
  readonly integers: string;
  readonly scale: string;
  readonly zeroPoint: string;
}

interface Entry extends StoredWeight {
  readonly weight: string;
  readonly form: WeightForm;
  readonly dequantized: TensorSource;
  readonly loss?: QuantizedTensor['loss'];
  readonly scaleBytes: Uint8Array;
  readonly scaleShape: readonly number[];
  readonly bytes: number;
}

/** Turns a weight into integers; nothing comes back for values that are NaN or infinite. */
export type WeightMaker = (tensor: TensorSource, spec: AffineSpec) => Promise<QuantizedAffine>;

const ownKey = (tensor: TensorSource, spec: AffineSpec): string =>
  JSON.stringify([tensor.info.name, tensor.info.shape, spec]);

/** Weights that the pool has made, and all others one by one. */
export const makerFrom =
  (pooled: ReadonlyMap<string, QuantizedAffine>): WeightMaker =>
  async (tensor, spec) => {
    const known = pooled.get(ownKey(tensor, spec));
    if (known) return known;
    const affine = await quantizeTensor(tensor, spec);
    return affine ? { affine } : {};
  };

/** Computes nothing: it gathers what will be asked for, so that the pool can make it all at once. */
export class WeightGatherer {
  readonly #jobs = new Map<string, LinearJob>();

  readonly maker: WeightMaker = async (tensor, spec) => {
    this.#jobs.set(ownKey(tensor, spec), { tensor, spec });
    const { count } = new Groups(tensor.info.shape, spec);
    const parameters = { scales: new Float32Array(count).fill(1), zeros: new Int32Array(count) };
    return { affine: withParameters(tensor, spec, parameters) };
  };

  /** By the key under which `makerFrom` looks them up. A weight in a second form is not among them. */
  jobs(): ReadonlyMap<string, LinearJob> {
    const names = new Set<string>();
    return new Map(
      [...this.#jobs].filter(([, { tensor }]) => {
        const first = !names.has(tensor.info.name);
        names.add(tensor.info.name);
        return first;
      }),
    );
  }
}

/** The weights of a graph as integers: each is stored once in every form that nodes ask for. */
export class DynamicWeights {
  readonly #edit: GraphEdit;
  readonly #settings: QuantizeSettings;
  readonly #remarks: DynamicRemarks;
  readonly #maker: WeightMaker;
  readonly #entries = new Map<string, Entry | undefined>();
  readonly #scales = new Map<string, string>();

  constructor(edit: GraphEdit, settings: QuantizeSettings, remarks: DynamicRemarks, maker: WeightMaker) {
    this.#edit = edit;
    this.#settings = settings;
    this.#remarks = remarks;
    this.#maker = maker;
  }

  /** A weight that is to be quantized, if it can be; `obstacle` says for what else it cannot. */
  wanted(name: string, obstacle?: string): TensorSource | undefined {
    const tensor = this.#edit.tensor(name);
    if (!tensor || !this.#settings.selects(name) || !/^b?f\d/.test(tensor.info.dtype)) return undefined;
    const { dtype, shape } = tensor.info;
    let why = obstacle;
    if (!this.#edit.isConstant(name)) why = 'only default an input of the graph';
    else if (dtype !== 'f32') why = `are ${dtype}, and DynamicQuantizeLinear takes f32 alone`;
    else if (shape.includes(0)) why = 'are empty';
    if (why === undefined) return tensor;
    this.#remarks.left(name, why);
    return undefined;
  }

  /** Undefined for values that are NaN or infinite. */
  async store(name: string, form: WeightForm): Promise<StoredWeight | undefined> {
    const key = JSON.stringify([name, form]);
    if (!this.#entries.has(key)) {
      const made = await this.#make(name, form);
      this.#entries.set(key, made);
      if (!made) this.#remarks.left(name, 'hold NaN or infinity');
    }
    return this.#entries.get(key);
  }

  /** A weight as it is stored already with one scale and its axes in their order. */
  plain(name: string): StoredWeight | undefined {
    return this.#made().find(
      ({ weight, scaleShape, form }) => weight === name && scaleShape.length === 0 && !form.turned,
    );
  }

  /** The scales of a weight times a number, for one node of several. */
  scaleTimes(stored: StoredWeight, factor: number): string {
    const entry = this.#made().find(({ scale }) => scale === stored.scale);
    if (!entry) throw new Error('the weight is not stored here');
    const key = `${entry.scale}*${factor}`;
    const known = this.#scales.get(key);
    if (known !== undefined) return known;
    const { scaleBytes, scaleShape } = entry;
    const scales = viewAs(Float32Array, scaleBytes, scaleBytes.length / 4).map((scale) => scale * factor);
    const name = this.#edit.addBytes(entry.scale, 'f32', scaleShape, new Uint8Array(scales.buffer));
    this.#scales.set(key, name);
    return name;
  }

  /** The weights whose integers are in the finished model. */
  quantized(scheme: string, model: Model): readonly QuantizedTensor[] {
    const stored = tensorMap(model);
    const made = this.#made().filter(({ integers }) => stored.has(integers));
    return [...new Set(made.map(({ weight }) => weight))].flatMap((name) => {
      const forms = made.filter(({ weight }) => weight === name);
      const [first] = forms;
      if (!first) return [];
      const bytesOut = forms.reduce((sum, { bytes }) => sum + bytes, 0);
      const { form, dequantized, loss } = first;
      return [{ name, scheme, dtypeOut: form.dtype, bytesOut, dequantized, ...(loss ? { loss } : {}) }];
    });
  }

  #made(): readonly Entry[] {
    return [...this.#entries.values()].filter((entry) => entry !== undefined);
  }

  async #make(name: string, form: WeightForm): Promise<Entry | undefined> {
    const tensor = this.#edit.tensor(name);
    if (!tensor) return undefined;
    const { shape } = tensor.info;
    const { dtype, axis } = form;
    const { affine, loss } = await this.#maker(reshaped(tensor, form.shape ?? shape), {
      dtype,
      symmetric: form.symmetric ?? this.#settings.symmetric ?? dtype === 'i8',
      reduceRange: this.#settings.reduceRange ?? false,
      ...(axis === undefined ? {} : { axis }),
    });
    if (!affine) return undefined;
    const codes = reshaped(affine.codes, shape);
    const scaleShape = form.scales ?? affine.shape;
    const zeros = affine.zeroPoint ?? new Uint8Array(tensorBytes(dtype, scaleShape, name));
    return {
      weight: name,
      form,
      dequantized: reshaped(affine.dequantized, shape),
      ...(loss ? { loss } : {}),
      scaleBytes: affine.scale,
      scaleShape,
      bytes: codes.byteLength + affine.scale.length + zeros.length,
      integers: this.#edit.add(`${name}_quantized`, form.turned ? turnedTensor(codes) : codes),
      scale: this.#edit.addBytes(`${name}_scale`, 'f32', scaleShape, affine.scale),
      zeroPoint: this.#edit.addBytes(`${name}_zero_point`, dtype, scaleShape, zeros),
    };
  }
}
