import type { NodeProto } from '../../../formats/onnx/schema.js';
import { inputOf, intsOf, numberOf, outputOf } from '../../opset/attributes.js';
import { opsetOf } from '../fuse.js';
import { scalarBeside } from '../polynomial.js';
import type { WorkGraph } from '../work-graph.js';
import { type Piece, piecesOf, sameRows } from './reshape-pieces.js';

export interface AttentionMatch {
  /** [batch, places, heads · width] each. */
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly heads: number;
  /** Of each head of queries and values. */
  readonly width: number;
  /** Added to the products: [batch or 1, heads or 1, places, places of the keys]. */
  readonly mask?: string;
  /** What products of queries and keys are multiplied with. */
  readonly scale: number;
  readonly inner: readonly NodeProto[];
  readonly last: NodeProto;
}

/**
 * Attention of several heads, perhaps with a mask that is added, around its Softmax (Vaswani et al., "Attention Is All You Need"): three values
 * are cut into heads (Reshape, Transpose), multiplied, and put together again.
 */
export async function attentionAround(
  graph: WorkGraph,
  softmax: NodeProto,
): Promise<AttentionMatch | undefined> {
  const axis = numberOf(softmax, 'axis') ?? (opsetOf(graph) >= 13 ? -1 : 1);
  if (axis !== -1 && axis !== 3) return undefined;
  const masked = graph.maker(inputOf(softmax, 0), 'Add');
  const side = masked && (await productBehind(graph, inputOf(masked, 0))) ? 0 : 1;
  const scores = await unscaled(graph, masked ? inputOf(masked, side) : inputOf(softmax, 0));
  const mask = masked && inputOf(masked, 1 - side);
  const product = graph.maker(scores.value, 'MatMul');
  const weighted = graph.soleTaker(outputOf(softmax, 0));
  if (!product || !weighted || graph.op(weighted) !== 'MatMul') return undefined;
  if (inputOf(weighted, 0) !== outputOf(softmax, 0)) return undefined;
  const left = await unscaled(graph, inputOf(product, 0));
  const right = await unscaled(graph, inputOf(product, 1));
  const query = await headsOf(graph, left.value, [0, 2, 1, 3]);
  const key = await headsOf(graph, right.value, [0, 2, 3, 1]);
  const value = await headsOf(graph, inputOf(weighted, 1), [0, 2, 1, 3]);
  if (!query || !key || !value || query.heads !== key.heads || query.heads !== value.heads) return undefined;
  if (
    query.width !== key.width ||
    query.width !== value.width ||
    !sameBatch(graph, query, key) ||
    !sameBatch(graph, query, value)
  )
    return undefined;
  if (masked && !masks(graph, mask, query, key)) return undefined;
  const joined = await joinedHeads(graph, weighted, query, value);
  if (!joined) return undefined;
  return {
    query: query.value,
    key: key.value,
    value: value.value,
    heads: query.heads,
    width: query.width,
    ...(mask === undefined ? {} : { mask }),
    scale: scores.factor * left.factor * right.factor,
    inner: [
      ...query.nodes,
      ...key.nodes,
      ...value.nodes,
      ...left.nodes,
      ...right.nodes,
      product,
      ...scores.nodes,
      ...(masked ? [masked] : []),
      softmax,
      weighted,
      joined.transpose,
    ],
    last: joined.reshape,
  };
}

const productBehind = async (graph: WorkGraph, name: string | undefined): Promise<boolean> =>
  graph.maker((await unscaled(graph, name)).value, 'MatMul') !== undefined;

/** A mask of just the sizes that the products have, but for the batch and the heads: more the runtime does not stretch. */
function masks(graph: WorkGraph, mask: string | undefined, query: Heads, key: Heads): boolean {
  const { dtype, shape } = graph.fact(mask);
  if (dtype !== 'f32' || shape?.length !== 4) return false;
  const [batch, places] = graph.fact(query.value).shape ?? [];
  const wanted = [batch, query.heads, places, graph.fact(key.value).shape?.[1]];
  return shape.every((dim, i) => (dim === 1 && i < 2) || (dim !== undefined && dim === wanted[i]));
}

interface Unscaled {
  readonly value: string | undefined;
  readonly factor: number;
  readonly nodes: readonly NodeProto[];
}

/** A value without the numbers it is multiplied with or divided by. */
export async function unscaled(graph: WorkGraph, value: string | undefined): Promise<Unscaled> {
  const node = graph.maker(value, 'Mul', 'Div');
  for (const side of [1, 0] as const) {
    const other = node && inputOf(node, 1 - side);
    const factor = node && (await scalarBeside(graph, inputOf(node, side), other));
    if (!node || factor === undefined || (graph.op(node) === 'Div' && side === 0)) continue;
    const inside = await unscaled(graph, other);
    const own = graph.op(node) === 'Div' ? 1 / factor : factor;
    return { value: inside.value, factor: inside.factor * own, nodes: [...inside.nodes, node] };
  }
  return { value, factor: 1, nodes: [] };
}

interface Heads {
  readonly value: string;
  readonly heads: number;
  readonly width: number;
  readonly nodes: readonly NodeProto[];
}

/** [batch, places, heads · width], cut into heads and turned by one or two Transposes that come to `order`. */
async function headsOf(
  graph: WorkGraph,
  name: string | undefined,
  order: readonly number[],
): Promise<Heads | undefined> {
  const turns: NodeProto[] = [];
  let [at, perm] = [name, [0, 1, 2, 3]];
  for (let turn = graph.maker(at, 'Transpose'); turn; turn = graph.maker(at, 'Transpose')) {
    const own = intsOf(turn, 'perm')?.map(Number) ?? [];
    perm = perm.map((axis) => own[axis] ?? -1);
    turns.unshift(turn);
    at = inputOf(turn, 0);
  }
  const reshape = graph.maker(at, 'Reshape');
  const value = reshape && inputOf(reshape, 0);
  if (!reshape || value === undefined || perm.join() !== order.join()) return undefined;
  const { dtype, shape } = graph.fact(value);
  const all = shape?.[2];
  const pieces = await piecesOf(graph, reshape);
  if (dtype !== 'f32' || shape?.length !== 3 || typeof all !== 'number' || pieces?.length !== 4)
    return undefined;
  const [, , heads, width] = pieces;
  if (typeof width !== 'number' || width <= 0 || all % width !== 0) return undefined;
  if (heads !== -1 && heads !== all / width) return undefined;
  if (!keepsRows(graph, value, pieces, heads === -1)) return undefined;
  return { value, heads: all / width, width, nodes: [reshape, ...turns] };
}

/**
 * True if the first two axes stay as they are. If the sizes of all others are given, one of the two is enough: the
 * number of elements tells the other.
 */
function keepsRows(graph: WorkGraph, value: string, pieces: readonly Piece[], open: boolean): boolean {
  const rows = sameRows(graph, value);
  const keeps = [0, 1].map((axis) => {
    const piece = pieces[axis];
    if (piece === 0) return true;
    if (typeof piece === 'object') return piece.axis === axis && rows.has(piece.of);
    return piece !== undefined && piece === graph.fact(value).shape?.[axis];
  });
  return open ? keeps.every(Boolean) : keeps.some(Boolean);
}

/** Products of matrices stretch a batch of one: attention does not. */
function sameBatch(graph: WorkGraph, a: Heads, b: Heads): boolean {
  const [one, other] = [graph.fact(a.value).shape?.[0], graph.fact(b.value).shape?.[0]];
  if (one !== undefined && one === other) return true;
  const rows = sameRows(graph, a.value);
  return [...sameRows(graph, b.value)].some((name) => rows.has(name));
}

/** Transpose and Reshape that put the heads side by side again. */
async function joinedHeads(
  graph: WorkGraph,
  weighted: NodeProto,
  query: Heads,
  { heads, width }: Heads,
): Promise<{ readonly transpose: NodeProto; readonly reshape: NodeProto } | undefined> {
  const transpose = graph.soleTaker(outputOf(weighted, 0));
  const reshape = transpose && graph.soleTaker(outputOf(transpose, 0));
  if (!reshape || graph.op(transpose) !== 'Transpose' || graph.op(reshape) !== 'Reshape') return undefined;
  if (intsOf(transpose, 'perm')?.join() !== '0,2,1,3' || inputOf(reshape, 0) !== outputOf(transpose, 0))
    return undefined;
  const pieces = await piecesOf(graph, reshape);
  const all = pieces?.[2];
  if (pieces?.length !== 3 || (all !== -1 && all !== heads * width)) return undefined;
  return keepsRows(graph, query.value, pieces, all === -1) ? { transpose, reshape } : undefined;
}
