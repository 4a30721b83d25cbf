import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import type { Finding } from '../../errors.js';
import type { AttributeProto } from '../../formats/onnx/schema.js';
import type { LossFigures } from '../../kernels/quantize/loss.js';

/** How weights are chosen better than by rounding each to the nearest integer. */
export type Refinement = 'gptq' | 'awq' | 'smooth' | 'hqq';

/** What was asked for; each scheme reads what concerns it. */
export interface QuantizeSettings {
  /** Names of tensors (weights) that may be quantized. */
  readonly selects: (name: string) => boolean;
  /** Elements that share a scale, along the reduction axis; undefined: the scheme's own default. */
  readonly block?: number;
  /** Zero point fixed at zero; undefined: the scheme's own default. */
  readonly symmetric?: boolean;
  /** A scale for every output channel; undefined: the scheme's own default. */
  readonly perChannel?: boolean;
  /** Signed (i8, i4) or unsigned (u8, u4) weights; undefined: the scheme's own default. */
  readonly weightSign?: 'signed' | 'unsigned';
  /** Bits of quantized activations: 8 (default) or 16. */
  readonly activationBits?: 8 | 16;
  /**
   * Integer operators instead of DequantizeLinear in front of float ones: int8-static: QLinear operators; weights:
   * MatMulNBits. Undefined: the scheme's own default.
   */
  readonly operators?: boolean;
  /** How ranges are chosen; weights: `mse` looks for the scale with the least error, all else spans all values. */
  readonly method?: 'minmax' | 'percentile' | 'entropy' | 'mse';
  readonly refine?: Refinement;
  /** fp16, bf16: graph inputs and outputs stay f32 (default true). */
  readonly keepIo?: boolean;
  /** fp16, bf16: operators that stay in f32 besides those that must. */
  readonly blockedOperators?: readonly string[];
  /** One bit less, for processors whose 8-bit sums saturate. */
  readonly reduceRange?: boolean;
}

/** Ranges of the values of a graph over calibration data. */
export interface ActivationRange {
  readonly min: number;
  readonly max: number;
}
export type ActivationRanges = ReadonlyMap<string, ActivationRange>;

/** Rows that a weight is multiplied with: the last axis of a value, or (Conv) the patches of it that a kernel sees. */
export interface GramSource {
  /** The same for the same rows. */
  readonly id: string;
  readonly value: string;
  /** Length of a row. */
  readonly size: number;
  /** Shape of the kernel without its outputs, and the attributes of Conv. */
  readonly patches?: { readonly shape: readonly number[]; readonly attributes: readonly AttributeProto[] };
  /** A column of ones stands behind the others, so that XᵀX has their sums too (from operator set 11 on). */
  readonly ones?: boolean;
}

/** XᵀX is wanted, X being the rows of all sources. */
export interface GramRequest {
  readonly key: string;
  readonly size: number;
  readonly sources: readonly GramSource[];
}

/** |x| of each column of the rows of a source. */
export interface Magnitudes {
  readonly largest: Float64Array;
  /** Over all rows, of |x| and of x². */
  readonly sum: Float64Array;
  readonly squares: Float64Array;
  readonly rows: number;
}

/** What layers are fed with over the calibration data. */
export interface LayerFeeds {
  /** By the id of the source. */
  magnitudes(model: Model, sources: readonly GramSource[]): Promise<ReadonlyMap<string, Magnitudes>>;
  /**
   * Hands over XᵀX, f64 row-major [size, size], of every request, one after the other. Who takes it may change it: it is
   * not kept.
   */
  grams(
    model: Model,
    wanted: readonly GramRequest[],
    take: (key: string, gram: Float64Array) => Promise<void>,
  ): Promise<void>;
}

/** A weight that was quantized. */
export interface QuantizedTensor {
  /** Its name before. */
  readonly name: string;
  readonly scheme: string;
  /** Type of the stored integers or codes. */
  readonly dtypeOut: string;
  /** Bytes of all that is stored in its place: integers, scales, zero points, tables. */
  readonly bytesOut: number;
  /** What it counts as now, in its old type and shape: for the error metrics. */
  readonly dequantized: TensorSource;
  /** The error metrics, where they were found on the way. */
  readonly loss?: Omit<LossFigures, 'finite'>;
}

export interface Quantized {
  readonly model: Model;
  readonly quantized: readonly QuantizedTensor[];
  readonly findings: readonly Finding[];
  /** Gives back what the tensors lie in (scratch files); called when nothing pulls them any more. */
  release?(): void;
}

/** A graph that computes the same with other weights. */
export interface Prepared {
  readonly model: Model;
  readonly findings: readonly Finding[];
  /** What was quantized, as if the weights were those of the model as it was. */
  restored(tensor: QuantizedTensor): QuantizedTensor;
}

/** A way to quantize a graph. */
export interface GraphScheme {
  readonly id: string;
  readonly title: string;
  /** int8-static: values of the graph whose ranges have to be known. Absent: no calibration is needed. */
  activations?(model: Model, settings: QuantizeSettings): Promise<readonly string[]>;
  /** Ranges help but are not needed: they are found (their ends, exactly) only where data is given, as any inputs are. */
  readonly rangesIfData?: boolean;
  /** Refinements that change the graph before anything else looks at it. Absent: there are none. */
  prepare?(model: Model, settings: QuantizeSettings, feeds: LayerFeeds): Promise<Prepared>;
  /** With a context, weights may be quantized by its workers. */
  apply(
    model: Model,
    settings: QuantizeSettings,
    ranges: ActivationRanges | undefined,
    context?: WorkContext,
    /** Present where the settings ask for a refinement that needs them. */
    feeds?: LayerFeeds,
  ): Promise<Quantized>;
}
