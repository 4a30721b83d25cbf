import type { Model } from '../../core/model.js';
import { finding } from '../../errors.js';
import { f32Values } from '../../kernels/quantize/values.js';
import { GraphEdit } from '../edit.js';
import { type FedTogether, fedTogether, ScaledInputs } from './scaled-inputs.js';
import type { LayerFeeds, Magnitudes, Prepared, QuantizeSettings } from './types.js';
import { type WeightOp, weightsOf } from './weights.js';

const OPS: ReadonlySet<WeightOp> = new Set(['MatMul', 'Gemm']);
/** How much of the difficulty goes from activations to weights: the paper's value for most models. */
const ALPHA = 0.5;

/**
 * The noise to be expected has to sink to this share: channels that are all equally large are cut off sooner by values
 * that calibration has not seen, and a Mul node costs time.
 */
const WORTH = 0.5;

/**
 * SmoothQuant (Xiao et al. 2022, arXiv 2211.10438): a channel of the activations with large values makes the step coarse
 * for all others. Channel k is divided by s_k = max|X_k|^α / max|W_k|^(1 − α), which the weights make up for. Layers
 * without such channels would lose by it: they are left alone, as the noise to be expected tells.
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
  const scaled = new ScaledInputs(edit, settings.selects);
  // From the last layer to the first: what is folded into a layer is there when its own inputs are looked at.
  for (const group of [...groups].reverse()) {
    const seen = magnitudes.get(group.value);
    if (!seen) continue;
    const ones = new Float64Array(group.size).fill(1);
    const matrices = await matricesOf(edit, group, ones);
    const largest = ones.map((_, k) => Math.max(...matrices.map(({ inputs }) => inputs[k] ?? 0)));
    const scales = seen.largest.map((x, k) => smoothingOf(x, largest[k] ?? 0));
    const before = noiseOf(seen, ones, matrices, settings);
    const after = noiseOf(seen, scales, await matricesOf(edit, group, scales), settings);
    if (after < before * WORTH) scaled.apply(group, scales);
  }
  return prepared(edit, scaled);
}

/** A channel that is always zero, or that no weight takes, stays as it is. */
const smoothingOf = (x: number, w: number): number =>
  x === 0 || w === 0 ? 1 : Math.max(1e-5, x ** ALPHA / w ** (1 - ALPHA));

/** Largest magnitudes of a matrix by its inputs and by its outputs, and the sum of its squares. */
interface Matrix {
  readonly inputs: Float64Array;
  readonly outputs: Float64Array;
  readonly squares: number;
}

/** The weights of a group, their inputs multiplied with scales. */
async function matricesOf(
  edit: GraphEdit,
  { size, weights }: FedTogether,
  scales: Float64Array,
): Promise<readonly Matrix[]> {
  const made: Matrix[] = [];
  for (const { name, sums, shape } of weights) {
    const tensor = edit.tensor(name);
    if (!tensor) continue;
    const columns = shape[1] ?? 1;
    const inputs = new Float64Array(size);
    const outputs = new Float64Array(shape[1 - sums] ?? 0);
    let squares = 0;
    for await (const { at, values } of f32Values(tensor))
      for (let i = 0; i < values.length; i++) {
        const row = Math.floor((at + i) / columns);
        const column = at + i - row * columns;
        const [k, n] = sums === 0 ? [row, column] : [column, row];
        const value = Math.abs((values[i] ?? 0) * (scales[k] ?? 1));
        if (value > (inputs[k] ?? 0)) inputs[k] = value;
        if (value > (outputs[n] ?? 0)) outputs[n] = value;
        squares += value * value;
      }
    made.push({ inputs, outputs, squares });
  }
  return made;
}

/**
 * What rounding is expected to add to the outputs of a row, up to a factor: squared steps of the activations times
 * squared weights, and squared steps of the weights times squared activations. `matrices` are scaled already.
 */
function noiseOf(
  { largest, squares, rows }: Magnitudes,
  scales: Float64Array,
  matrices: readonly Matrix[],
  { perChannel }: QuantizeSettings,
): number {
  let range = 0;
  let energy = 0;
  largest.forEach((x, k) => {
    const scale = scales[k] ?? 1;
    range = Math.max(range, x / scale);
    energy += (squares[k] ?? 0) / rows / scale ** 2;
  });
  let noise = 0;
  for (const { outputs, squares: own } of matrices) {
    const most = outputs.reduce((high, w) => Math.max(high, w), 0);
    const steps = outputs.reduce((sum, w) => sum + (perChannel ? w : most) ** 2, 0);
    noise += range ** 2 * own + steps * energy;
  }
  return noise;
}

export function prepared(edit: GraphEdit, scaled: ScaledInputs): Prepared {
  const { folded, added } = scaled.counts;
  const told =
    folded + added === 0
      ? finding(
          'info',
          'INPUTS_KEPT',
          'graph',
          'no layer gains by scales: no channel of its inputs stands out',
        )
      : finding(
          'info',
          'INPUTS_SCALED',
          'graph',
          `layers whose scales went into what comes before them: ${folded}; into a Mul node: ${added}`,
        );
  return {
    model: edit.finish(),
    findings: [told],
    restored: (tensor) => scaled.restored(tensor),
  };
}
