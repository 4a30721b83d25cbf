import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import type { Finding } from '../../errors.js';

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
  /** int8-static: QLinear operators instead of QDQ pairs. */
  readonly operators?: boolean;
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
}

export interface Quantized {
  readonly model: Model;
  readonly quantized: readonly QuantizedTensor[];
  readonly findings: readonly Finding[];
}

/** A way to quantize a graph. */
export interface GraphScheme {
  readonly id: string;
  readonly title: string;
  /** int8-static: values of the graph whose ranges have to be known. Absent: no calibration is needed. */
  activations?(model: Model, settings: QuantizeSettings): Promise<readonly string[]>;
  /** `context`: for schemes that look at all weights first. */
  apply(
    model: Model,
    settings: QuantizeSettings,
    ranges: ActivationRanges | undefined,
    context?: WorkContext,
  ): Promise<Quantized>;
}
