import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { compareTensors } from '../../kernels/compare.js';
import { factorAll } from '../../kernels/factor/parallel.js';
import { candidatesOf } from './choose.js';
import { factorable, jobOf } from './factored.js';
import { prunedTensors, putsZeros } from './methods.js';
import type { PruneModelOptions } from './prune.js';

/** What each weight loses without a run: its relative error squared times its share of the bytes, by name. */
export async function weightErrors(
  model: Model,
  options: PruneModelOptions,
  context: WorkContext,
): Promise<ReadonlyMap<string, number>> {
  const total = model.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const found = new Map<string, number>();
  if (!putsZeros(options)) {
    const { weights } = await factorable(model, options);
    let next = 0;
    for await (const { energy } of factorAll(weights, (weight) => jobOf(weight, options), context)) {
      const tensor = weights[next++]?.tensor;
      if (tensor) found.set(tensor.info.name, ((1 - energy) * tensor.byteLength) / total);
    }
    return found;
  }
  const candidates = candidatesOf(model, options);
  const { tensors } = await prunedTensors(candidates, options, context);
  const pairs = candidates.flatMap(({ tensor }, i) => {
    const after = tensors[i];
    return after ? [{ name: tensor.info.name, a: tensor, b: after }] : [];
  });
  for (const [i, { sqnrDb }] of (await compareTensors(pairs, context)).entries()) {
    const tensor = pairs[i]?.a;
    if (tensor)
      found.set(tensor.info.name, sqnrDb === null ? 0 : (10 ** (-sqnrDb / 10) * tensor.byteLength) / total);
  }
  return found;
}
