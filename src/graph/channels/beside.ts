import type { Model } from '../../core/model.js';
import { innerGraphs } from '../captures.js';
import { type EditNode, GraphEdit } from '../edit.js';

/**
 * A graph with another version of itself behind it, fed with the same inputs, and the values named joined with what the
 * other one makes in their place: behind each other along an axis, or their differences. `values`: what the joined ones
 * are called. undefined where sub-graphs take values by names of their own.
 */
export async function beside(
  model: Model,
  other: Model,
  values: readonly string[],
  join: { readonly axis: number } | 'difference',
): Promise<{ readonly model: Model; readonly values: readonly string[] } | undefined> {
  const edit = await GraphEdit.open(model);
  const twin = await GraphEdit.open(other);
  const nodes = needed(twin, values);
  if (nodes.some((node) => innerGraphs(node).length > 0)) return undefined;
  const names = new Map<string, string>([['', '']]);
  for (const node of nodes)
    for (const name of node.output) if (name !== '') names.set(name, edit.fresh(name));
  const nameOf = (name: string): string => {
    const known = names.get(name);
    if (known !== undefined) return known;
    // Weights that may be fed are inputs, which both versions share.
    const tensor = twin.isConstant(name) ? twin.tensor(name) : undefined;
    const made = tensor ? edit.add(name, tensor) : name;
    names.set(name, made);
    return made;
  };
  const copies = nodes.map(
    (node): EditNode => ({
      ...node,
      name: edit.fresh(node.name ?? ''),
      input: node.input.map(nameOf),
      output: node.output.map(nameOf),
    }),
  );
  const joined = values.map((value) => edit.fresh(`${value}_joined`));
  const joins = values.map((value, i) =>
    edit.make({
      ...{ inputs: [value, nameOf(value)], outputs: [joined[i] ?? ''] },
      ...(join === 'difference' ? { op: 'Sub' } : { op: 'Concat', attributes: { axis: BigInt(join.axis) } }),
    }),
  );
  edit.append([...copies, ...joins]);
  return { model: edit.finish(), values: joined };
}

/** Nodes that make values, in their order. */
function needed(edit: GraphEdit, values: readonly string[]): readonly EditNode[] {
  const names = new Set(values);
  const found = [...edit.nodes].reverse().filter(({ input, output }) => {
    if (!output.some((name) => names.has(name))) return false;
    for (const name of input) names.add(name);
    return true;
  });
  return found.reverse();
}
