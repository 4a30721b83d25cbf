import type { WorkContext } from '../../core/format.js';
import { type Model, tensorMap } from '../../core/model.js';
import { takenBy } from '../../graph/captures.js';
import type { MadeValue } from '../../graph/made-values.js';
import { compareTensors } from '../../kernels/compare.js';
import { sameDims } from '../../runtime/metrics.js';
import type { FirstDifference, TracedInput, TracedValue } from './report.js';

/** Nodes that are named where the one to blame is not known. */
const MOST_BETWEEN = 20;

/** What is wrong with the first value that is wrong: its weights, its node, its inputs, or nodes that nobody saw. */
export async function blameFor(
  model: Model,
  reference: Model | undefined,
  values: readonly MadeValue[],
  traced: readonly TracedValue[],
  first: TracedValue,
  context: WorkContext,
): Promise<FirstDifference> {
  const made = new Map(values.map((value) => [value.name, value]));
  const seen = new Map(traced.map((value) => [value.name, value]));
  const value = made.get(first.name);
  if (!value) throw new Error(`no node makes ${first.name}`);
  const weights = await differingWeights(model, reference, [...takenBy(value.node)], context);
  const inputs = [...takenBy(value.node)].map((name) =>
    inputOf(name, seen, weights, made, reference !== undefined),
  );
  const base = {
    kind: reference ? ('differs' as const) : ('not-finite' as const),
    ...{ value: first.name, node: first.node, op: first.op, inputs },
  };
  if (inputs.some(({ kind, same }) => kind === 'weight' && same === false))
    return { ...base, blame: 'weight', between: [] };
  if (!reference) {
    const before = inputs.some(({ nonFinite = 0 }) => nonFinite > 0);
    return { ...base, blame: before ? 'inputs' : 'node', between: [] };
  }
  const between = nodesBetween(value, made, seen);
  if (between.length > 1) return { ...base, blame: 'between', between: between.slice(0, MOST_BETWEEN) };
  const slightly = inputs.some(({ kind, maxAbs = 0 }) => kind === 'value' && maxAbs > 0);
  return { ...base, blame: slightly ? 'inputs' : 'node', between: [] };
}

function inputOf(
  name: string,
  seen: ReadonlyMap<string, TracedValue>,
  weights: ReadonlyMap<string, TracedInput>,
  made: ReadonlyMap<string, MadeValue>,
  compared: boolean,
): TracedInput {
  const weight = weights.get(name);
  if (weight) return weight;
  if (!made.has(name)) return { name, kind: 'input' };
  const value = seen.get(name);
  if (value && !compared) return { name, kind: 'value', nonFinite: value.nonFinite };
  if (!value?.counterpart) return { name, kind: 'value' };
  const { same, maxAbs, cosine } = value.counterpart;
  return { name, kind: 'value', same, maxAbs, cosine };
}

/** Weights next to those of the same name in the reference. */
async function differingWeights(
  model: Model,
  reference: Model | undefined,
  names: readonly string[],
  context: WorkContext,
): Promise<ReadonlyMap<string, TracedInput>> {
  const own = tensorMap(model);
  const others = reference ? tensorMap(reference) : new Map<string, never>();
  const weights = names.filter((name) => own.has(name));
  const pairs = weights.flatMap((name) => {
    const [b, a] = [own.get(name), others.get(name)];
    return a && b && sameDims(a.info.shape, b.info.shape) ? [{ name, a, b }] : [];
  });
  const differences = pairs.length > 0 ? await compareTensors(pairs, context) : [];
  const found = new Map<string, TracedInput>(weights.map((name) => [name, { name, kind: 'weight' }]));
  for (const [i, { name }] of pairs.entries()) {
    const difference = differences[i];
    if (!difference) continue;
    const { equal, maxAbs, cosine } = difference;
    found.set(name, { name, kind: 'weight', same: equal, maxAbs, cosine });
  }
  return found;
}

/** The node and those before it, back to values that were compared (and found to be the same). */
function nodesBetween(
  value: MadeValue,
  made: ReadonlyMap<string, MadeValue>,
  seen: ReadonlyMap<string, TracedValue>,
): readonly string[] {
  const labels = new Set<string>([value.label]);
  const waiting = [value];
  for (let next = waiting.pop(); next; next = waiting.pop())
    for (const name of takenBy(next.node)) {
      const before = made.get(name);
      if (!before || seen.get(name)?.counterpart || labels.has(before.label)) continue;
      labels.add(before.label);
      waiting.push(before);
    }
  return [...labels];
}
