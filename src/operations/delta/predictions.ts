import { type Model, tensorMap } from '../../core/model.js';
import type { Prediction } from '../../core/prediction.js';
import type { TensorSource } from '../../core/tensor.js';
import { ownBenches } from '../../kernels/codecs/bench.js';
import { encodeChunk } from '../../kernels/codecs/choose.js';
import { loadCodecs } from '../../kernels/codecs/index.js';
import { predict } from '../../kernels/predict.js';
import { type AdamGroup, type AdamParameter, adamParameters } from './optimizers.js';
import { bytesOf } from './range-bytes.js';

/** Bytes of a tensor on which predictions are tried. */
const SAMPLE_BYTES = 64 << 10;
/** A prediction costs its record. It must save that, and this share of what is stored without it. */
const RECORD_BYTES = 160;
const WORTH = 0.2;
/** Tensors of one shape that are tried as the weight of a parameter. */
const MOST_TRIES = 8;
/** Parameters in a row whose weight follows from nothing: the optimizer is not one that we can follow. */
const MOST_FAILURES = 8;

/**
 * What follows from one step of Adam between two whole checkpoints: second moments nearly, from first ones; weights, bit
 * for bit on most machines. Which tensor is the weight of which parameter is not told: the one that it predicts.
 * Everything is tried on a sample and taken where it saves; nothing is, unless the two are one step apart.
 */
export async function predictionsBetween(base: Model, next: Model): Promise<Map<string, Prediction>> {
  const found = new Map<string, Prediction>();
  if (!base.training || !next.training) return found;
  const before = await adamParameters(base);
  const pairs = [...(await adamParameters(next))].flatMap(([name, after]) => {
    const old = before.get(name);
    return old && old.step + 1 === after.step && old.second === after.second ? [{ old, after }] : [];
  });
  if (pairs.length === 0) return found;
  const trial = new Trial(base, next);
  const moments = new Set(pairs.flatMap(({ after }) => [after.first, after.second]));
  const weights = weightsByShape(next, moments);
  let failures = 0;
  for (const { old, after } of pairs) {
    const second = secondOf(after);
    if ((await trial.saved(after.second, second)) > 0) found.set(after.second, second);
    if (failures >= MOST_FAILURES) continue;
    const weight = await weightOf(old, after, trial, weights);
    if (weight) found.set(...weight);
    failures = weight ? 0 : failures + 1;
  }
  return found;
}

/** Names of tensors that may be weights, in the order of the file, by shape. Each is the weight of one parameter. */
function weightsByShape(model: Model, moments: ReadonlySet<string>): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const { info, role } of model.tensors) {
    if (info.dtype !== 'f32' || role === 'optimizer' || moments.has(info.name)) continue;
    const names = found.get(String(info.shape)) ?? [];
    found.set(String(info.shape), [...names, info.name]);
  }
  return found;
}

/** The weight of a parameter and how it follows; it is taken out of `weights`. */
async function weightOf(
  old: AdamParameter,
  after: AdamParameter,
  trial: Trial,
  weights: Map<string, string[]>,
): Promise<[string, Prediction] | undefined> {
  const shape = trial.shapeOf(after.first);
  const names = weights.get(shape) ?? [];
  const named = names.filter((name) => name === after.key || name.endsWith(`.${after.key}`));
  const rest = names.filter((name) => !named.includes(name)).slice(0, MOST_TRIES);
  const { first, second } = after;
  const steps = stepsOf(old.group, after);
  const predictions = steps.map((scalars): Prediction => ({ kind: 'adam-weight', first, second, scalars }));
  for (const name of [...named, ...rest]) {
    // The wrong learning rate saves something too: the best one counts.
    let best: Prediction | undefined;
    let most = 0;
    for (const prediction of predictions) {
      const saved = await trial.saved(name, prediction);
      if (saved > most) [best, most] = [prediction, saved];
    }
    if (!best) continue;
    const others = names.filter((other) => other !== name);
    weights.set(shape, others);
    return [name, best];
  }
  return undefined;
}

const f32 = (...values: number[]): number[] => values.map(Math.fround);

function secondOf({ first, group }: AdamParameter): Prediction {
  const [beta1, beta2] = group.betas;
  return { kind: 'adam-second', first, scalars: f32(1 - beta1, beta2, 1 - beta2) };
}

/**
 * What the step may have been: the learning rate is set before a step or after it, and older files do not tell Adam from
 * AdamW. (Decay that is coupled went into the moments.)
 */
function stepsOf(old: AdamGroup, { step, group }: AdamParameter): number[][] {
  const [beta1, beta2] = group.betas;
  const found = new Map<string, number[]>();
  for (const lr of [group.lr, old.lr])
    for (const decoupled of group.decoupled === undefined ? [true, false] : [group.decoupled]) {
      const decay = decoupled ? 1 - lr * group.weightDecay : 1;
      const scalars = f32(decay, -(lr / (1 - beta1 ** step)), Math.sqrt(1 - beta2 ** step), group.eps);
      found.set(String(scalars), scalars);
    }
  return [...found.values()];
}

/** Tries predictions on a piece from the middle of a tensor. */
class Trial {
  readonly #base: ReadonlyMap<string, TensorSource>;
  readonly #next: ReadonlyMap<string, TensorSource>;

  constructor(base: Model, next: Model) {
    this.#base = tensorMap(base);
    this.#next = tensorMap(next);
  }

  shapeOf(name: string): string {
    return String(this.#next.get(name)?.info.shape);
  }

  /** Bytes of the sample that a prediction saves; 0 where it is not worth its record. */
  async saved(name: string, prediction: Prediction): Promise<number> {
    const next = this.#next.get(name);
    const base = this.#base.get(name);
    const { first } = prediction;
    const inputs =
      prediction.kind === 'adam-weight'
        ? [base, this.#next.get(first), this.#next.get(prediction.second)]
        : [base, this.#base.get(first), this.#next.get(first)];
    if (!next || next.byteLength === 0) return 0;
    const blocks: Uint8Array[] = [];
    for (const input of [next, ...inputs]) {
      if (input?.info.dtype !== 'f32' || input.byteLength !== next.byteLength) return 0;
      blocks.push(await sampleOf(input));
    }
    const [wanted, ...given] = blocks;
    const [plain] = given;
    if (!wanted || !plain) return 0;
    const without = await codedBytes(wanted, plain);
    const saved = without - (await codedBytes(wanted, predict(prediction, given)));
    const all = (saved * next.byteLength) / wanted.byteLength;
    return saved > without * WORTH && all > RECORD_BYTES ? saved : 0;
  }
}

function sampleOf(tensor: TensorSource): Promise<Uint8Array> {
  const length = Math.min(SAMPLE_BYTES, tensor.byteLength);
  const start = Math.floor((tensor.byteLength - length) / 8) * 4;
  return bytesOf(tensor, start, start + length);
}

/** What the values take as differences to others. */
async function codedBytes(values: Uint8Array, to: Uint8Array): Promise<number> {
  const codecs = await loadCodecs();
  const [bench] = ownBenches();
  bench.raw.bytes.set(values);
  bench.base.bytes.set(to);
  return encodeChunk(bench, 'f32', values.byteLength, true, codecs).bytes.byteLength;
}
