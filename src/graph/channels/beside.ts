import type { Model } from '../../core/model.js';
import { innerGraphs } from '../captures.js';
import { type EditNode, GraphEdit } from '../edit.js';

/**
 * A graph with another version of itself behind it, fed with the same inputs, and a value of it that is joined along an
 * axis with what the other one makes in its place. undefined where sub-graphs take values by names of their own.
 */
export async function beside(
  model: Model,
  other: Model,
  value: string,
  axis: number,
): Promise<{ readonly model: Model; readonly value: string } | undefined> {
  const edit = await GraphEdit.open(model);
  const twin = await GraphEdit.open(other);
  const nodes = needed(twin, value);
  if (nodes.some((node) => innerGraphs(node).length > 0)) return undefined;
  const names = new Map<string, string>([['', '']]);
  for (const node of nodes) for (const name of node.output) if (name !== '') names.set(name, edit.fresh(name));
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
  const both = edit.fresh(`${value}_both`);
  const join = edit.make({
    ...{ op: 'Concat', inputs: [value, nameOf(value)], outputs: [both] },
    attributes: { axis: BigInt(axis) },
  });
  const last = edit.nodes.at(-1);
  edit.rewrite((node) => (node === last ? [node, ...copies, join] : undefined));
  return { model: edit.finish(), value: both };
}

/** Nodes that make a value, in their order. */
function needed(edit: GraphEdit, value: string): readonly EditNode[] {
  const names = new Set([value]);
  const found = [...edit.nodes].reverse().filter(({ input, output }) => {
    if (!output.some((name) => names.has(name))) return false;
    for (const name of input) names.add(name);
    return true;
  });
  return found.reverse();
}
