import type { NodeProto } from '../../../formats/onnx/schema.js';
import { inputOf, intsOf, numberOf, outputOf } from '../../opset/attributes.js';
import { isStatic } from '../facts.js';
import { near, scalarBeside } from '../polynomial.js';
import type { WorkGraph } from '../work-graph.js';

export interface NormMatch {
  /** The mean is taken off first (layer normalization), or not (root mean square). */
  readonly centred: boolean;
  readonly x: string;
  /** −k: over the last k axes, of these sizes. */
  readonly axis: number;
  readonly sizes: readonly number[];
  readonly epsilon: number;
  readonly scale?: string;
  readonly bias?: string;
  readonly inner: readonly NodeProto[];
  readonly last: NodeProto;
}

/**
 * Normalizations around the ReduceMean of squares: x, or x − mean(x), divided by √(mean of squares + ε), then perhaps
 * multiplied with a scale and moved by a bias (Ba et al., "Layer Normalization"; Zhang & Sennrich, "Root Mean Square
 * Layer Normalization"). f32 only. That which takes off the mean comes first.
 */
export async function normsAround(graph: WorkGraph, variance: NodeProto): Promise<readonly NormMatch[]> {
  const square = graph.maker(inputOf(variance, 0), 'Pow', 'Mul');
  const z = square && (await squared(graph, square));
  const root = z === undefined ? undefined : await divided(graph, variance, z);
  if (!square || z === undefined || !root) return [];
  const inner = [square, variance, ...root.inner];
  const found: NormMatch[] = [];
  const mean = await meanTakenOff(graph, z);
  if (mean && sameDifference(graph, z, root.z)) {
    const differences = [z, root.z].flatMap((name) => graph.maker(name) ?? []);
    found.push(
      ...(await over(graph, variance, mean.x, true, [mean.node, ...differences, ...inner], root, mean.node)),
    );
  }
  if (z === root.z) found.push(...(await over(graph, variance, z, false, inner, root)));
  return found;
}

interface Divided {
  /** What is divided, √ of what is added to, and the nodes. */
  readonly z: string;
  readonly epsilon: number;
  readonly inner: readonly NodeProto[];
  readonly last: NodeProto;
}

async function over(
  graph: WorkGraph,
  variance: NodeProto,
  x: string,
  centred: boolean,
  inner: readonly NodeProto[],
  { epsilon, last }: Divided,
  mean?: NodeProto,
): Promise<readonly NormMatch[]> {
  const { dtype, shape } = graph.fact(x);
  const axis = await lastAxes(graph, variance, shape?.length);
  const meanAxis = mean ? await lastAxes(graph, mean, shape?.length) : axis;
  if (dtype !== 'f32' || !shape || axis === undefined || axis !== meanAxis || -axis > shape.length) return [];
  const sizes = shape.slice(axis);
  if (!isStatic(sizes)) return [];
  return [{ centred, x, axis, sizes, epsilon, ...scaledAndMoved(graph, last, sizes, centred, inner) }];
}

/** What follows: Mul with a scale, and Add of a bias after centring, of just the sizes that are normalized. */
function scaledAndMoved(
  graph: WorkGraph,
  divided: NodeProto,
  sizes: readonly number[],
  centred: boolean,
  before: readonly NodeProto[],
): Pick<NormMatch, 'scale' | 'bias' | 'inner' | 'last'> {
  const found: { scale?: string; bias?: string } = {};
  const inner = [...before];
  let last = divided;
  for (const role of centred ? (['scale', 'bias'] as const) : (['scale'] as const)) {
    const op = role === 'scale' ? 'Mul' : 'Add';
    const value = outputOf(last, 0);
    const node = graph.soleTaker(value);
    if (!node || graph.op(node) !== op) continue;
    const other = inputOf(node, inputOf(node, 0) === value ? 1 : 0);
    const shape = graph.fact(other).shape;
    if (other === undefined || shape?.length !== sizes.length || !shape.every((dim, i) => dim === sizes[i]))
      continue;
    found[role] = other;
    inner.push(last);
    last = node;
  }
  return { ...found, inner, last };
}

/** The value whose square a node makes. */
async function squared(graph: WorkGraph, node: NodeProto): Promise<string | undefined> {
  const [a, b] = [inputOf(node, 0), inputOf(node, 1)];
  if (graph.op(node) === 'Mul') return a === b ? a : undefined;
  const { numbers = [], shape = [1] } = (await graph.value(b)) ?? {};
  return numbers.length === 1 && numbers[0] === 2 && shape.length <= 1 ? a : undefined;
}

/** z / √(variance + ε), as a quotient or a product with the reciprocal. */
async function divided(graph: WorkGraph, variance: NodeProto, z: string): Promise<Divided | undefined> {
  const value = outputOf(variance, 0);
  const sum = graph.soleTaker(value);
  if (!sum || graph.op(sum) !== 'Add') return undefined;
  const epsilon = await scalarBeside(graph, inputOf(sum, inputOf(sum, 0) === value ? 1 : 0), z);
  const root = graph.soleTaker(outputOf(sum, 0));
  if (epsilon === undefined || !(epsilon >= 0) || !root) return undefined;
  const power = await exponentOf(graph, root);
  const taker = graph.soleTaker(outputOf(root, 0));
  if (!taker) return undefined;
  const inner = [sum, root];
  if (power === -0.5) return timesReciprocal(graph, taker, root, epsilon, inner);
  if (power !== 0.5) return undefined;
  if (graph.op(taker) === 'Reciprocal' || (await isOneOver(graph, taker, root))) {
    const product = graph.soleTaker(outputOf(taker, 0));
    return product && timesReciprocal(graph, product, taker, epsilon, [...inner, taker]);
  }
  const from = inputOf(taker, 0);
  if (graph.op(taker) !== 'Div' || from === undefined || from === outputOf(root, 0)) return undefined;
  return { z: from, epsilon, inner, last: taker };
}

function timesReciprocal(
  graph: WorkGraph,
  product: NodeProto,
  reciprocal: NodeProto,
  epsilon: number,
  inner: readonly NodeProto[],
): Divided | undefined {
  if (graph.op(product) !== 'Mul') return undefined;
  const z = inputOf(product, inputOf(product, 0) === outputOf(reciprocal, 0) ? 1 : 0);
  return z === undefined ? undefined : { z, epsilon, inner, last: product };
}

async function exponentOf(graph: WorkGraph, node: NodeProto): Promise<number | undefined> {
  if (graph.op(node) === 'Sqrt') return 0.5;
  return graph.op(node) === 'Pow' ? scalarBeside(graph, inputOf(node, 1), inputOf(node, 0)) : undefined;
}

async function isOneOver(graph: WorkGraph, node: NodeProto, root: NodeProto): Promise<boolean> {
  if (graph.op(node) !== 'Div' || inputOf(node, 1) !== outputOf(root, 0)) return false;
  const one = await scalarBeside(graph, inputOf(node, 0), inputOf(node, 1));
  return one !== undefined && near(one, 1);
}

/** x, where a value is x less its mean. */
async function meanTakenOff(
  graph: WorkGraph,
  value: string,
): Promise<{ readonly x: string; readonly node: NodeProto } | undefined> {
  const difference = graph.maker(value, 'Sub');
  const x = difference && inputOf(difference, 0);
  const node = difference && graph.maker(inputOf(difference, 1), 'ReduceMean');
  return node && x !== undefined && inputOf(node, 0) === x ? { x, node } : undefined;
}

/** Older exporters compute x − mean(x) twice. */
function sameDifference(graph: WorkGraph, a: string, b: string): boolean {
  const [one, other] = [graph.maker(a, 'Sub'), graph.maker(b, 'Sub')];
  return one !== undefined && other !== undefined && one.input.join('\n') === other.input.join('\n');
}

/** −k if a ReduceMean that keeps its axes goes over the last k of them. */
async function lastAxes(
  graph: WorkGraph,
  node: NodeProto,
  rank: number | undefined,
): Promise<number | undefined> {
  if (numberOf(node, 'keepdims') === 0) return undefined;
  const given = intsOf(node, 'axes') ?? (await graph.value(inputOf(node, 1)))?.integers ?? [];
  const axes = given.map(Number).map((axis) => (axis < 0 || rank === undefined ? axis : axis - rank));
  const ordered = [...axes].sort((a, b) => b - a);
  return ordered.length > 0 && ordered.every((axis, i) => axis === -1 - i) ? -ordered.length : undefined;
}
