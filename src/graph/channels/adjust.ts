import type { EditNode } from '../edit.js';
import { numberOf, withAttributes, withInputs, without } from '../opset/attributes.js';
import { constantBytes } from '../opset/constant-value.js';
import type { NewSizes } from './cut.js';
import type { ChannelGraph } from './graph.js';
import { fromFront, inputAt, outputAt } from './rule.js';
import { resizedTo } from './rules/parts.js';
import { groupingOf } from './rules/products.js';

/** Sizes of the values of a node, before and after. */
interface Change {
  readonly node: EditNode;
  before(value: string | undefined): readonly number[];
  after(value: string | undefined): readonly number[];
}

/** Rewrites the numbers of nodes that say how many channels there are. */
export function adjusted(graph: ChannelGraph, sizes: NewSizes): void {
  const before = (value: string | undefined): readonly number[] => graph.shape(value) ?? [];
  const after = (value: string | undefined): readonly number[] => sizes.get(value ?? '') ?? before(value);
  graph.edit.rewrite((node) => {
    const touched = [...node.input, ...node.output].some((name) => sizes.has(name));
    return touched ? adjust(graph, { node, before, after }) : undefined;
  });
}

function adjust(graph: ChannelGraph, change: Change): readonly EditNode[] | undefined {
  const { node } = change;
  switch (node.opType) {
    case 'Conv':
    case 'ConvTranspose':
      return fewerGroups(change);
    case 'GroupNormalization': {
      const [x = ''] = node.input;
      const groups = numberOf(node, 'num_groups') ?? 1;
      const size = (change.before(x)[1] ?? 0) / groups;
      return [withAttributes(node, { num_groups: BigInt((change.after(x)[1] ?? 0) / size) })];
    }
    case 'Split':
      return otherParts(graph, change);
    case 'Reshape':
    case 'Expand':
      return withSizes(graph, change, 1);
    case 'ConstantOfShape':
      return withSizes(graph, change, 0);
    case 'Resize':
      return resizedTo(node) === undefined ? undefined : withSizes(graph, change, 3);
    default:
      return undefined;
  }
}

function fewerGroups({ node, before, after }: Change): readonly EditNode[] | undefined {
  const { whole, inner } = groupingOf(node, before(inputAt(node, 1)));
  if (!whole) return undefined;
  return [withAttributes(node, { group: BigInt((after(inputAt(node, 0))[1] ?? 0) / inner) })];
}

function otherParts(graph: ChannelGraph, { node, before, after }: Change): readonly EditNode[] | undefined {
  const rank = before(node.input[0]).length;
  const along = fromFront(numberOf(node, 'axis') ?? 0, rank);
  if (before(node.input[0])[along] === after(node.input[0])[along]) return undefined;
  const parts = node.output.map((name) => BigInt(after(name)[along] ?? 0));
  if (graph.opset < 13) return [withAttributes(node, { split: parts })];
  const list = graph.edit.addBytes(
    `${outputAt(node)}_parts`,
    'i64',
    [parts.length],
    constantBytes('i64', parts),
  );
  return [without(withInputs(node, [node.input[0], list]), 'num_outputs')];
}

/** A node with another list of sizes, where a number of it is fixed and no longer right. */
function withSizes(graph: ChannelGraph, change: Change, index: number): readonly EditNode[] | undefined {
  const { node, before, after } = change;
  const list = node.input[index] ?? '';
  const pieces = graph.sizes(list);
  const [old, next] = [before(outputAt(node)), after(outputAt(node))];
  if (!pieces) return undefined;
  const changes = new Map<number, bigint>();
  pieces.forEach((piece, i) => {
    const axis = i + old.length - pieces.length;
    if (old[axis] === next[axis] || piece.kind !== 'constant' || piece.value === -1) return;
    // Expand: 1 leaves the axis as it is. Reshape: 0 takes the size of the input.
    if (node.opType === 'Expand' && piece.value === 1) return;
    if (node.opType === 'Reshape' && piece.value === 0 && after(node.input[0])[axis] === next[axis]) return;
    changes.set(i, BigInt(next[axis] ?? 0));
  });
  if (changes.size === 0) return undefined;
  const made: EditNode[] = [];
  const inputs = [...node.input];
  inputs[index] = otherList(graph, list, changes, made);
  return [...made, withInputs(node, inputs)];
}

/** A list of sizes with other constants in it: the nodes that put it together are made anew. */
function otherList(
  graph: ChannelGraph,
  list: string,
  changes: ReadonlyMap<number, bigint>,
  made: EditNode[],
): string {
  if (changes.size === 0) return list;
  const { edit } = graph;
  const fixed = graph.integers(list);
  const tensor = edit.tensor(list);
  if (fixed && tensor) {
    const { dtype, shape } = tensor.info;
    const values = fixed.map((value, i) => changes.get(i) ?? BigInt(value));
    return edit.addBytes(list, dtype, shape, constantBytes(dtype, values));
  }
  const node = graph.producer(list);
  if (!node) throw new Error(`${list} is not made by a node`);
  const inputs = [...node.input];
  if (node.opType === 'Concat') {
    let first = 0;
    node.input.forEach((part, k) => {
      const length = graph.sizes(part)?.length ?? graph.shape(part)?.[0] ?? 1;
      const own = [...changes].flatMap(([i, value]) =>
        i >= first && i < first + length ? [[i - first, value] as const] : [],
      );
      inputs[k] = otherList(graph, part, new Map(own), made);
      first += length;
    });
  } else inputs[0] = otherList(graph, node.input[0] ?? '', changes, made);
  const output = edit.fresh(list);
  made.push({ ...node, name: edit.fresh(node.name ?? node.opType ?? ''), input: inputs, output: [output] });
  return output;
}
