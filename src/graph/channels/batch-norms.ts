import type { Model } from '../../core/model.js';
import { type NodeDescription, nodeProto } from '../build.js';
import { type EditNode, GraphEdit } from '../edit.js';
import { floatOf } from '../opset/attributes.js';
import { constantBytes } from '../opset/constant-value.js';
import { numbersOf, withNumbers } from './matrix.js';
import { inputAt, outputAt } from './rule.js';

/** A BatchNormalization whose running statistics can be taken again. */
export interface Norm {
  readonly node: EditNode;
  readonly value: string;
  readonly mean: string;
  readonly variance: string;
  readonly channels: number;
  readonly rank: number;
}

/** The norms that depend on one of the tensors named. `ranks`: of values, as they were in a run. */
export function normsBehind(
  edit: GraphEdit,
  changed: ReadonlySet<string>,
  rank: (value: string) => number | undefined,
): readonly Norm[] {
  const touched = new Set(changed);
  const takers = edit.consumers();
  const found: Norm[] = [];
  for (const node of edit.nodes) {
    const [value = '', , , mean = '', variance = ''] = node.input;
    const reached = touched.has(value);
    if (!node.input.some((name) => touched.has(name))) continue;
    for (const name of node.output) touched.add(name);
    const tensors = [edit.tensor(mean), edit.tensor(variance)];
    const own = [mean, variance].every((name) => edit.isConstant(name) && takers.get(name)?.length === 1);
    const axes = rank(value);
    if (!reached || node.opType !== 'BatchNormalization' || !own || axes === undefined || axes < 2) continue;
    if (tensors.some((tensor) => tensor?.info.dtype !== 'f32')) continue;
    found.push({ node, value, mean, variance, rank: axes, channels: tensors[0]?.info.shape[0] ?? 0 });
  }
  return found;
}

export const meanName = (i: number): string => `mlser_mean_${i}`;
export const varianceName = (i: number): string => `mlser_variance_${i}`;
/** Whose shape tells how many values of a channel there were. */
export const countName = (i: number): string => `mlser_count_${i}`;

/**
 * The model as it is while it is trained: norms take the statistics of the batch, and give them as outputs too
 * (`outputs` makes it a model with these alone).
 */
export async function normalizingBatches(
  model: Model,
  norms: readonly Norm[],
  outputs: (model: Model, names: readonly string[]) => Model,
): Promise<Model> {
  const edit = await GraphEdit.open(model);
  const places = new Map(norms.map((norm, i) => [norm.node.output[0], { norm, i }]));
  edit.rewrite((node) => {
    const found = node.opType === 'BatchNormalization' ? places.get(node.output[0]) : undefined;
    return found && batchNodes(edit, node, found.norm, found.i);
  });
  const names = norms.flatMap((_, i) => [meanName(i), varianceName(i), countName(i)]);
  return outputs(edit.finish(), names);
}

function batchNodes(
  edit: GraphEdit,
  node: EditNode,
  { value, rank, channels }: Norm,
  i: number,
): readonly EditNode[] {
  const name = (what: string): string => `mlser_norm_${i}_${what}`;
  const integers = (what: string, numbers: readonly number[]): string =>
    edit.addBytes(name(what), 'i64', [numbers.length], constantBytes('i64', numbers.map(BigInt)));
  const axes = Array.from({ length: rank }, (_, axis) => axis).filter((axis) => axis !== 1);
  const along = integers('axes', axes);
  const shape = integers(
    'shape',
    Array.from({ length: rank }, (_, axis) => (axis === 1 ? channels : 1)),
  );
  const epsilon = edit.addBytes(
    name('epsilon'),
    'f32',
    [],
    constantBytes('f32', [floatOf(node, 'epsilon') ?? 1e-5]),
  );
  // Axes were an attribute before version 18.
  const mean = (from: string, to: string): NodeDescription =>
    edit.opset() >= 18
      ? { op: 'ReduceMean', inputs: [from, along], outputs: [to] }
      : { op: 'ReduceMean', inputs: [from], outputs: [to], attributes: { axes: axes.map(BigInt) } };
  const reshape = (from: string, to: string): NodeDescription => ({
    op: 'Reshape',
    inputs: [from, shape],
    outputs: [to],
  });
  const two = (op: string, a: string, b: string, to: string): NodeDescription => ({
    op,
    inputs: [a, b],
    outputs: [to],
  });
  return [
    mean(value, meanName(i)),
    two('Sub', value, meanName(i), name('centred')),
    two('Mul', name('centred'), name('centred'), name('squares')),
    mean(name('squares'), varianceName(i)),
    two('Add', varianceName(i), epsilon, name('sum')),
    { op: 'Sqrt', inputs: [name('sum')], outputs: [name('deviation')] },
    two('Div', name('centred'), name('deviation'), name('normal')),
    reshape(inputAt(node, 1) ?? '', name('scale')),
    reshape(inputAt(node, 2) ?? '', name('bias')),
    two('Mul', name('normal'), name('scale'), name('scaled')),
    two('Add', name('scaled'), name('bias'), outputAt(node)),
    { op: 'Shape', inputs: [value], outputs: [countName(i)] },
  ].map((one) => nodeProto({ ...one, name: edit.fresh(`mlser_norm_${one.op}`) }, 0));
}

/** Mean and variance of every channel of a norm. */
export interface Statistics {
  readonly mean: Float64Array;
  readonly variance: Float64Array;
}

/** The model with other running statistics. */
export async function withStatistics(
  model: Model,
  statistics: ReadonlyMap<Norm, Statistics>,
): Promise<Model> {
  const edit = await GraphEdit.open(model);
  for (const [norm, { mean, variance }] of statistics)
    for (const [name, values] of [
      [norm.mean, mean],
      [norm.variance, variance],
    ] as const) {
      const tensor = edit.tensor(name);
      if (tensor && (await numbersOf(tensor)).length === values.length)
        edit.replaceTensor(name, withNumbers(tensor, values));
    }
  return edit.finish();
}
