import type { WorkContext } from '../../core/format.js';
import { isMlserError, type MlserError } from '../../errors.js';
import { takenBy } from '../../graph/captures.js';
import { extractNodes } from '../../graph/extract.js';
import { madeValues, sortedNodes } from '../../graph/made-values.js';
import { valueTypes } from '../../graph/value-types.js';
import type { ArrayFile } from '../../runtime/arrays.js';
import type { Runtime } from '../../runtime/process.js';
import type { FirstDifference } from './report.js';
import { Taps } from './taps.js';

/** What the runtime refused, or how it crashed; not that a value cannot be looked at, nor other errors. */
export const isRefusal = (error: unknown): error is MlserError =>
  isMlserError(error) && error.code === 'E_RUNTIME' && !/Unsupported data type/.test(error.message);

/**
 * The first node that the runtime refuses, or that makes it fail or crash: with the nodes before it the graph runs.
 * Bisection, for a graph that fails goes on failing with more nodes.
 */
export async function firstFailing(
  taps: Taps,
  file: ArrayFile | undefined,
  runtime: Runtime,
  context: WorkContext,
): Promise<FirstDifference | undefined> {
  const nodes = sortedNodes(taps.model);
  const values = madeValues(taps.model);
  const typeOf = valueTypes(taps.model);
  const failureOf = async (count: number): Promise<MlserError | undefined> => {
    const kept = new Set(nodes.slice(0, count));
    const names = values.filter(({ node }) => kept.has(node)).map(({ name }) => name);
    const last = nodes[count - 1]?.output.filter((name) => name !== '') ?? [];
    try {
      const all = new Taps(
        { model: extractNodes(taps.model, kept, last), files: taps.files },
        taps.device,
        runtime,
        context,
      );
      const fetched = await all.fetchable(names);
      const outputs = last.filter((name) => fetched.has(name));
      // Their shapes are asked for, which makes the runtime compute them, also where it would not hand them out.
      const tensors = names.filter((name) => fetched.has(name) || typeOf(name)?.type?.tensorType);
      const part = new Taps(
        { model: extractNodes(taps.model, kept, outputs), files: taps.files },
        taps.device,
        runtime,
        context,
      );
      await part.measured(file, tensors, Number.POSITIVE_INFINITY);
      return undefined;
    } catch (error) {
      if (isRefusal(error)) return error;
      throw error;
    }
  };
  let [good, bad] = [0, nodes.length];
  let told = await failureOf(bad);
  if (!told) return undefined;
  context.progress.stage('trace', Math.ceil(Math.log2(nodes.length)));
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    const failure = await failureOf(middle);
    if (failure) [bad, told] = [middle, failure];
    else good = middle;
    context.progress.advance(1);
  }
  const node = nodes[bad - 1];
  const value = values.find((one) => one.node === node);
  if (!node || !value) return undefined;
  return {
    ...{ kind: 'fails', value: value.name, node: value.label, op: value.op, blame: 'node', between: [] },
    inputs: [...takenBy(node)].map((name) => ({
      name,
      kind: values.some((one) => one.name === name) ? 'value' : isInput(taps, name) ? 'input' : 'weight',
    })),
    message: told.message,
  };
}

const isInput = ({ model }: Taps, name: string): boolean =>
  model.graph?.inputs.some((input) => input.name === name) ?? false;
