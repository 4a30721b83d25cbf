import type { Model } from '../core/model.js';
import type { TensorSource } from '../core/tensor.js';
import { type EditNode, GraphEdit } from './edit.js';

/** A weight that MatMul and Gemm multiply from the right, or that Conv slides over its input; nothing else takes it. */
export interface SplittableWeight {
  readonly tensor: TensorSource;
  /** Of the matrix as it is multiplied; of a Conv: outputs, and inputs at all places of the kernel. */
  readonly rows: number;
  readonly columns: number;
  /** It is stored transposed (Gemm with transB). */
  readonly turned: boolean;
  /** Inputs and kernel of a Conv. */
  readonly window?: readonly number[];
}

/** rows × rank and rank × columns, in the shapes of `factorShapes`. */
export interface SplitWeight {
  readonly left: TensorSource;
  readonly right: TensorSource;
}

export interface Splittable {
  readonly weights: readonly SplittableWeight[];
  /** Why other initializers stay whole, by name. */
  readonly reasons: ReadonlyMap<string, string>;
}

/** Of a product two thin matrices, of a Conv the second, a Conv of single places, and the first, with its kernel. */
export function factorShapes(
  { rows, columns, window }: SplittableWeight,
  rank: number,
): { readonly left: readonly number[]; readonly right: readonly number[] } {
  if (!window) return { left: [rows, rank], right: [rank, columns] };
  return { left: [rows, rank, ...window.slice(1).map(() => 1)], right: [rank, ...window] };
}

const flag = (node: EditNode, name: string): boolean =>
  (node.attribute.find((one) => one.name === name)?.i ?? 0n) !== 0n;

const groupsOf = (node: EditNode): bigint => node.attribute.find(({ name }) => name === 'group')?.i ?? 1n;

const isPlain = (node: EditNode): boolean => (node.domain ?? '') === '';
const isProduct = (node: EditNode): boolean =>
  isPlain(node) && (node.opType === 'MatMul' || node.opType === 'Gemm');
const isConv = (node: EditNode): boolean => isPlain(node) && node.opType === 'Conv';

const isTurned = (node: EditNode): boolean => node.opType === 'Gemm' && flag(node, 'transB');

/** The weights of a graph that can be split in two. */
export async function splittableWeights(model: Model): Promise<Splittable> {
  const weights: SplittableWeight[] = [];
  const reasons = new Map<string, string>();
  if (!model.graph) return { weights, reasons };
  const edit = await GraphEdit.open(model);
  const consumers = edit.consumers();
  const known = new Set(model.tensors.map(({ info }) => info.name));
  const { captured, outputNames } = edit;
  for (const [name, tensor] of edit.initializers) {
    if (!known.has(name)) continue;
    const found =
      captured.has(name) || outputNames.has(name) || !edit.isConstant(name)
        ? 'it is an input or output of the graph, or of a graph inside it'
        : splittable(tensor, name, consumers.get(name) ?? []);
    if (typeof found === 'string') reasons.set(name, found);
    else weights.push(found);
  }
  return { weights, reasons };
}

/** How it is split, or why not. */
function splittable(
  tensor: TensorSource,
  name: string,
  nodes: readonly EditNode[],
): SplittableWeight | string {
  const { shape } = tensor.info;
  const [first] = nodes;
  if (!first) return 'no node of the main graph takes it';
  const other = nodes.find((node) => !isProduct(node) && !isConv(node));
  if (other) return `${other.opType} takes it: only MatMul, Gemm and Conv are split`;
  if (nodes.some((node) => node.input.some((one, i) => one === name && i !== 1)))
    return `${first.opType} does not take it as its weight, from the right`;
  if (nodes.every(isConv)) {
    const grouped = nodes.find((node) => groupsOf(node) !== 1n);
    if (grouped) return `a Conv of ${groupsOf(grouped)} groups is not split`;
    const [rows = 0, ...window] = shape;
    return { tensor, rows, columns: window.reduce((all, size) => all * size, 1), turned: false, window };
  }
  if (!nodes.every(isProduct)) return 'Conv and products share it';
  if (shape.length !== 2) return 'MatMul multiplies several matrices in it';
  const turned = isTurned(first);
  if (nodes.some((node) => isTurned(node) !== turned)) return 'it is taken transposed, and as it is';
  const [rows = 0, columns = 0] = turned ? [...shape].reverse() : shape;
  return { tensor, rows, columns, turned };
}

/** The graph with two nodes in the place of one, for every weight of `splits` (by name). */
export async function splitProducts(model: Model, splits: ReadonlyMap<string, SplitWeight>): Promise<Model> {
  const edit = await GraphEdit.open(model);
  const names = new Map(
    [...splits].map(([name, { left, right }]) => [
      name,
      { left: edit.add(`${name}_left`, left), right: edit.add(`${name}_right`, right) },
    ]),
  );
  edit.rewrite((node) => {
    const own = isProduct(node) || isConv(node) ? names.get(node.input[1] ?? '') : undefined;
    if (!own) return undefined;
    return isConv(node) ? splitConv(edit, node, own) : splitProduct(edit, node, own);
  });
  for (const name of splits.keys()) edit.drop(name);
  return edit.finish();
}

interface FactorNames {
  readonly left: string;
  readonly right: string;
}

const thinName = (edit: GraphEdit, node: EditNode): string =>
  edit.fresh(`${node.output[0] ?? 'product'}_thin`);

/** x · left, · right, with what was added. */
function splitProduct(edit: GraphEdit, node: EditNode, { left, right }: FactorNames): EditNode[] {
  const [input = '', , ...rest] = node.input;
  const middle = thinName(edit, node);
  const thin = edit.make({
    op: node.opType ?? '',
    inputs: [input, left],
    outputs: [middle],
    ...(flag(node, 'transA') ? { attributes: { transA: 1n } } : {}),
  });
  const attribute = node.attribute.filter(({ name }) => name !== 'transA' && name !== 'transB');
  return [thin, { ...node, input: [middle, right, ...rest], attribute }];
}

/** The kernel, its strides, pads and dilations with few outputs; then single places of these, with the bias. */
function splitConv(edit: GraphEdit, node: EditNode, { left, right }: FactorNames): EditNode[] {
  const [input = '', , ...rest] = node.input;
  const middle = thinName(edit, node);
  const thin = edit.make({ op: 'Conv', inputs: [input, right], outputs: [middle] });
  return [
    { ...thin, attribute: node.attribute },
    { ...node, input: [middle, left, ...rest], attribute: [] },
  ];
}
