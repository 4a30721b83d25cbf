import type { Model } from '../../core/model.js';
import type { Prediction } from '../../core/prediction.js';
import { type AdamGroup, type AdamParameter, adamParameters } from './optimizers.js';
import { Trial } from './trial.js';

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
