import type { Model } from '../core/model.js';
import type { TensorSource } from '../core/tensor.js';
import { type EditNode, GraphEdit } from './edit.js';

/** A matrix that MatMul and Gemm multiply from the right, and nothing else takes. */
export interface SplittableWeight {
  readonly tensor: TensorSource;
  /** Of the matrix as it is multiplied. */
  readonly rows: number;
  readonly columns: number;
  /** It is stored transposed (Gemm with transB). */
  readonly turned: boolean;
}

/** rows × rank and rank × columns. */
export interface SplitWeight {
  readonly left: TensorSource;
  readonly right: TensorSource;
}

const flag = (node: EditNode, name: string): boolean =>
  (node.attribute.find((one) => one.name === name)?.i ?? 0n) !== 0n;

const isProduct = (node: EditNode, name: string): boolean =>
  (node.domain ?? '') === '' &&
  (node.opType === 'MatMul' || node.opType === 'Gemm') &&
  node.input[1] === name &&
  node.input.filter((one) => one === name).length === 1;

/** The matrices of a graph that can be split in two. */
export async function splittableWeights(model: Model): Promise<readonly SplittableWeight[]> {
  if (!model.graph) return [];
  const edit = await GraphEdit.open(model);
  const consumers = edit.consumers();
  const known = new Set(model.tensors.map(({ info }) => info.name));
  return [...edit.initializers].flatMap(([name, tensor]) => {
    const { shape } = tensor.info;
    const nodes = consumers.get(name) ?? [];
    const [first] = nodes;
    if (!first || shape.length !== 2 || !known.has(name) || !nodes.every((node) => isProduct(node, name)))
      return [];
    if (!edit.isConstant(name) || edit.outputNames.has(name) || edit.captured.has(name)) return [];
    const turned = isTurned(first);
    if (nodes.some((node) => isTurned(node) !== turned)) return [];
    const [rows = 0, columns = 0] = turned ? [...shape].reverse() : shape;
    return [{ tensor, rows, columns, turned }];
  });
}

const isTurned = (node: EditNode): boolean => node.opType === 'Gemm' && flag(node, 'transB');

/** The graph with two products in the place of one, for every weight of `splits` (by name). */
export async function splitProducts(model: Model, splits: ReadonlyMap<string, SplitWeight>): Promise<Model> {
  const edit = await GraphEdit.open(model);
  const names = new Map(
    [...splits].map(([name, { left, right }]) => [
      name,
      { left: edit.add(`${name}_left`, left), right: edit.add(`${name}_right`, right) },
    ]),
  );
  edit.rewrite((node) => {
    const [input = '', weight = '', ...rest] = node.input;
    const own = isProduct(node, weight) ? names.get(weight) : undefined;
    if (!own) return undefined;
    const middle = edit.fresh(`${node.output[0] ?? 'product'}_thin`);
    const thin = edit.make({
      op: node.opType ?? '',
      inputs: [input, own.left],
      outputs: [middle],
      ...(flag(node, 'transA') ? { attributes: { transA: 1n } } : {}),
    });
    const attribute = node.attribute.filter(({ name }) => name !== 'transA' && name !== 'transB');
    return [thin, { ...node, input: [middle, own.right, ...rest], attribute }];
  });
  for (const name of splits.keys()) edit.drop(name);
  return edit.finish();
}
