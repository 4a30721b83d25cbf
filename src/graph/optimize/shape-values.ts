import type { NodeProto } from '../../formats/onnx/schema.js';
import { inputOf, numberOf } from '../opset/attributes.js';
import type { Dim } from './facts.js';
import { opsetOf } from './rewritten.js';
import type { WorkGraph } from './work-graph.js';

/** Sizes that a list of integers (or one integer) holds: numbers, names of open dimensions, undefined. */
export type Sizes = readonly Dim[];

/** Lists of sizes are put together from few pieces; longer chains are not followed. */
const DEEPEST = 24;
const LONGEST = 1024;

/**
 * What is known of a value that shapes are computed with (Shape, Gather, Slice, Concat, … of sizes), element by
 * element, also where others are open.
 */
export async function sizesOf(
  graph: WorkGraph,
  name: string | undefined,
  depth = 0,
): Promise<Sizes | undefined> {
  if (name === undefined || depth > DEEPEST) return undefined;
  const constant = await graph.value(name);
  if (constant) {
    const few = constant.shape.length <= 1 && constant.numbers.length <= LONGEST;
    return few && constant.integers.length > 0 ? constant.numbers : undefined;
  }
  const node = graph.maker(name);
  if (!node || node.output[0] !== name) return undefined;
  return evaluated(graph, node, (at) => sizesOf(graph, inputOf(node, at), depth + 1));
}

async function evaluated(
  graph: WorkGraph,
  node: NodeProto,
  input: (at: number) => Promise<Sizes | undefined>,
): Promise<Sizes | undefined> {
  switch (graph.op(node)) {
    case 'Shape': {
      const shape = graph.fact(inputOf(node, 0)).shape;
      return shape?.slice(numberOf(node, 'start') ?? 0, numberOf(node, 'end'));
    }
    case 'Size': {
      const shape = graph.fact(inputOf(node, 0)).shape;
      return shape && [shape.reduce(times, 1)];
    }
    case 'Identity':
      return input(0);
    case 'Cast':
      // INT32 and INT64 hold every size.
      return [6, 7].includes(numberOf(node, 'to') ?? 0) ? input(0) : undefined;
    case 'Squeeze':
    case 'Unsqueeze':
      return isList(graph, node) ? input(0) : undefined;
    case 'Concat':
      return concatenated(node, input);
    case 'Gather':
      return gathered(graph, node, await input(0));
    case 'Slice':
      return sliced(graph, node, await input(0));
    case 'Mul': {
      const [a, b] = [await input(0), await input(1)];
      return a?.length === 1 && b?.length === 1 ? [times(a[0], b[0])] : undefined;
    }
    default:
      return undefined;
  }
}

/** A name stays one times 1 only. */
const times = (a: Dim, b: Dim): Dim => {
  if (typeof a === 'number' && typeof b === 'number' && Number.isSafeInteger(a * b)) return a * b;
  return a === 1 ? b : b === 1 ? a : undefined;
};

/** One dimension at most, so that the elements are the whole value. */
const isList = (graph: WorkGraph, node: NodeProto): boolean =>
  [...node.input.slice(0, 1), ...node.output].every((name) => {
    const shape = graph.fact(name).shape;
    return shape !== undefined && shape.length <= 1;
  });

async function concatenated(
  node: NodeProto,
  input: (at: number) => Promise<Sizes | undefined>,
): Promise<Sizes | undefined> {
  const whole: Dim[] = [];
  for (const at of node.input.keys()) {
    const part = await input(at);
    if (!part || whole.length + part.length > LONGEST) return undefined;
    whole.push(...part);
  }
  return whole;
}

async function gathered(
  graph: WorkGraph,
  node: NodeProto,
  list: Sizes | undefined,
): Promise<Sizes | undefined> {
  const indices = await graph.value(inputOf(node, 1));
  if (!list || !indices || indices.shape.length > 1 || graph.fact(inputOf(node, 0)).shape?.length !== 1)
    return undefined;
  const places = indices.numbers.map((index) => (index < 0 ? index + list.length : index));
  return places.every((at) => at >= 0 && at < list.length) ? places.map((at) => list[at]) : undefined;
}

async function sliced(
  graph: WorkGraph,
  node: NodeProto,
  list: Sizes | undefined,
): Promise<Sizes | undefined> {
  if (!list || opsetOf(graph) < 10) return undefined;
  const bounds: number[] = [];
  for (const at of [1, 2]) {
    const values = (await graph.value(inputOf(node, at)))?.numbers;
    if (values?.length !== 1) return undefined;
    bounds.push(values[0] ?? 0);
  }
  const steps = inputOf(node, 4) === undefined ? [1] : (await graph.value(inputOf(node, 4)))?.numbers;
  return steps?.[0] === 1 ? list.slice(bounds[0], bounds[1]) : undefined;
}
