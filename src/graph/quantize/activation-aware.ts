import { elementCount } from '../../core/dtype.js';
import type { Model } from '../../core/model.js';
import { readTensor } from '../../core/tensor.js';
import { castTensor } from '../../kernels/cast.js';
import type { AffineSpec } from '../../kernels/quantize/affine.js';
import { outputError, type SampledRows, scaledRounding } from '../../kernels/quantize/output-error.js';
import { viewAs } from '../../kernels/views.js';
import { GraphEdit } from '../edit.js';
import { type IntegerWeights, plansOf, specOf } from './integer-plan.js';
import { type FedTogether, fedTogether, ScaledInputs } from './scaled-inputs.js';
import { prepared } from './smooth.js';
import type { LayerFeeds, Prepared, QuantizeSettings } from './types.js';

/** Exponents that are tried: 0, 1/20, …, 19/20. */
const GRID = 20;
/** Outputs of a weight, evenly spaced, that errors are found for: the exponent is one number for all. */
const SAMPLED = 128;

/**
 * AWQ (Lin et al. 2023, arXiv 2306.00978): weights that large activations meet are rounded more finely when they are
 * scaled up before. s = mean|X|^α, and α is what gives the least error of the layers' outputs, (W − Ŵ)ᵀ·XᵀX·(W − Ŵ).
 */
export async function activationAware(
  model: Model,
  scheme: IntegerWeights,
  settings: QuantizeSettings,
  feeds: LayerFeeds,
): Promise<Prepared> {
  const edit = await GraphEdit.open(model);
  const plans = plansOf(edit, scheme, settings);
  const specs = new Map(plans.map((plan) => [plan.weight.name, specOf(plan)]));
  const groups = new Map(fedTogether(plans.map(({ weight }) => weight)).map((group) => [group.value, group]));
  const sources = [...groups.values()].map(({ value, size }) => ({ id: value, value, size }));
  const magnitudes = await feeds.magnitudes(model, sources);
  const requests = sources.map((source) => ({ key: source.id, size: source.size, sources: [source] }));
  const chosen = new Map<string, Float64Array>();
  await feeds.grams(model, requests, async (key, gram) => {
    const group = groups.get(key);
    const seen = magnitudes.get(key);
    const scales = group && seen && (await best(edit, group, specs, seen.sum, gram));
    if (scales) chosen.set(key, scales);
  });
  const scaled = new ScaledInputs(edit, settings.selects);
  for (const group of [...groups.values()].reverse()) {
    const scales = chosen.get(group.value);
    if (scales) scaled.apply(group, scales);
  }
  return prepared(edit, scaled);
}

/** The scales with the least error; undefined where it is best to have none. */
async function best(
  edit: GraphEdit,
  { weights, size }: FedTogether,
  specs: ReadonlyMap<string, AffineSpec>,
  sums: Float64Array,
  gram: Float64Array,
): Promise<Float64Array | undefined> {
  const sampled: { readonly rows: SampledRows; readonly spec: AffineSpec }[] = [];
  for (const { name, sums, shape } of weights) {
    const tensor = edit.tensor(name);
    const spec = specs.get(name);
    if (!tensor || !spec) continue;
    const values = viewAs(Float32Array, await readTensor(castTensor(tensor, 'f32')), elementCount(shape));
    sampled.push({ rows: sampleOf(values, size, sums === 0), spec });
  }
  let found: Float64Array | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (let step = 0; step < GRID; step++) {
    const scales = scalesFor(sums, step / GRID);
    let error = 0;
    for (const { rows, spec } of sampled) error += outputError(scaledRounding(rows, scales, spec), gram);
    if (!(error < least)) continue;
    least = error;
    found = step === 0 ? undefined : scales;
  }
  return found;
}

/** Outputs of a matrix as rows. `columns`: they lie as columns. */
function sampleOf(values: Float32Array, size: number, columns: boolean): SampledRows {
  const outputs = values.length / size;
  const count = Math.min(SAMPLED, outputs);
  const rows = new Float32Array(count * size);
  for (let n = 0; n < count; n++) {
    const output = Math.floor((n * outputs) / count);
    for (let k = 0; k < size; k++)
      rows[n * size + k] = values[columns ? k * outputs + output : output * size + k] ?? 0;
  }
  return { values: rows, size };
}

/** Sums of magnitudes differ from means by a factor, which goes: scales lie around 1, the ends equally far. */
function scalesFor(sums: Float64Array, alpha: number): Float64Array {
  const mean = sums.reduce((total, x) => total + x, 0) / sums.length;
  const scales = sums.map((x) => Math.max(1e-4, x / mean) ** alpha);
  let [low, high] = [Number.POSITIVE_INFINITY, 0];
  for (const scale of scales) [low, high] = [Math.min(low, scale), Math.max(high, scale)];
  const middle = Math.sqrt(low * high);
  return scales.map((scale) => scale / middle);
}
