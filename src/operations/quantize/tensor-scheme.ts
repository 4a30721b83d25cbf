import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import type { Quantized, QuantizeSettings } from '../../graph/quantize/types.js';

/** A way to quantize tensors that belong to no graph. */
export interface TensorScheme {
  readonly id: string;
  readonly title: string;
  /** With a context, weights may be quantized by its workers. */
  apply(model: Model, settings: QuantizeSettings, context?: WorkContext): Promise<Quantized>;
}
