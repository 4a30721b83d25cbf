import { elementCount } from '../../core/dtype.js';
import type { Model } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import { finding } from '../../errors.js';
import { f32Values } from '../../kernels/quantize/values.js';
import { GraphEdit } from '../edit.js';
import { fedTogether, ScaledInputs } from './scaled-inputs.js';
import type { LayerFeeds, Prepared, QuantizeSettings } from './types.js';
import { type WeightOp, weightsOf } from './weights.js';

const OPS: ReadonlySet<WeightOp> = new Set(['MatMul', 'Gemm']);
/** How much of the difficulty goes from activations to weights: the paper's value for most models. */
const ALPHA = 0.5;

/**
 * SmoothQuant (Xiao et al. 2022, arXiv 2211.10438): a channel of the activations with large values makes the step coarse
 * for all others. Channel k is divided by s_k = max|X_k|^α / max|W_k|^(1 − α), which the weights make up for.
 */
export async function smoothed(
  model: Model,
  settings: QuantizeSettings,
  feeds: LayerFeeds,
): Promise<Prepared> {
  const edit = await GraphEdit.open(model);
  const groups = fedTogether(weightsOf(edit, settings, OPS));
  const sources = groups.map(({ value, size }) => ({ id: value, value, size }));
  const magnitudes = await feeds.magnitudes(model, sources);
  const scaled = new ScaledInputs(edit);
  // From the last layer to the first: what is folded into a layer is there when its own inputs are looked at.
  for (const group of [...groups].reverse()) {
    const seen = magnitudes.get(group.value);
    if (!seen) continue;
    const largest = new Float64Array(group.size);
    for (const { name, sums } of group.weights) {
      const tensor = edit.tensor(name);
      if (tensor) await widen(largest, tensor, sums);
    }
    const scales = seen.largest.map((x, k) => smoothingOf(x, largest[k] ?? 0));
    if (scales.every(Number.isFinite)) scaled.apply(group, scales);
  }
  return prepared(edit, scaled);
}

/** A channel that is always zero, or that no weight takes, stays as it is. */
const smoothingOf = (x: number, w: number): number =>
  x === 0 || w === 0 ? 1 : Math.max(1e-5, x ** ALPHA / w ** (1 - ALPHA));

/** Largest magnitudes along an axis. */
async function widen(largest: Float64Array, tensor: TensorSource, axis: number): Promise<void> {
  const inner = elementCount(tensor.info.shape.slice(axis + 1));
  for await (const { at, values } of f32Values(tensor))
    for (let i = 0; i < values.length; i++) {
      const k = Math.floor((at + i) / inner) % largest.length;
      largest[k] = Math.max(largest[k] ?? 0, Math.abs(values[i] ?? 0));
    }
}

export function prepared(edit: GraphEdit, scaled: ScaledInputs): Prepared {
  const { folded, added } = scaled.counts;
  const told = `scales of ${folded} layers went into what comes before them, of ${added} into a Mul node`;
  return {
    model: edit.finish(),
    findings: folded + added === 0 ? [] : [finding('info', 'INPUTS_SCALED', 'graph', told)],
    restored: (tensor) => scaled.restored(tensor),
  };
}
