import type { NodeProto } from '../../../formats/onnx/schema.js';
import { inputOf, numberOf, outputOf } from '../../opset/attributes.js';
import { axesOf } from '../axes.js';
import { type Fact, sameShape } from '../facts.js';
import type { GraphPass } from '../pass.js';
import { reshapeTarget } from '../reshape-target.js';
import { opsetOf, rewritten } from '../rewritten.js';
import type { WorkGraph } from '../work-graph.js';

/** The same elements in the same order, in another shape. */
const VIEWS = ['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze'];

/**
 * Reshape, Flatten, Squeeze and Unsqueeze in a row become one Reshape, or nothing where the shape is again what it was;
 * Expand to the shape that a value has.
 */
export const reshapes: GraphPass = {
  name: 'reshapes',
  summary: 'reshapes in a row become one or none; those to the shape that a value has go',
  level: 'basic',
  async apply(graph) {
    let found = 0;
    for (const original of graph.nodes) {
      const node = graph.maker(outputOf(original, 0), ...VIEWS, 'Expand');
      if (node && (await simplify(graph, node))) found++;
    }
    return found;
  },
};

async function simplify(graph: WorkGraph, node: NodeProto): Promise<boolean> {
  const [input, output] = [inputOf(node, 0), outputOf(node, 0)];
  if (input === undefined || output === undefined) return false;
  const shape = graph.fact(output).shape;
  const isView = graph.op(node) !== 'Expand';
  if (isView ? sameOfAsMany(shape, graph.fact(input).shape) : await stretchesNothing(graph, node, shape))
    return graph.bypass(node, output, input);
  const first = isView ? graph.maker(input, ...VIEWS) : undefined;
  const source = first && inputOf(first, 0);
  if (!first || source === undefined) return false;
  if (sameOfAsMany(shape, graph.fact(source).shape) || (await undoes(graph, node, first)))
    return graph.bypass(node, output, source);
  return opsetOf(graph) >= 5 && (await merge(graph, node, source));
}

/** True if shapes of as many elements are the same: one size may be open if all others are numbers, which leave it no choice. */
function sameOfAsMany(a: Fact['shape'], b: Fact['shape']): boolean {
  if (sameShape(a, b)) return true;
  if (a?.length === undefined || a.length !== b?.length) return false;
  if (a.includes(0)) return false;
  const others = a.flatMap((dim, i) => (typeof dim === 'number' && dim === b[i] ? [] : [[dim, b[i]]]));
  return others.length === 1 && others.flat().every((dim) => typeof dim !== 'number');
}

/** Expand to the shape that a value has, or to ones: every size stays. */
async function stretchesNothing(graph: WorkGraph, node: NodeProto, shape: Fact['shape']): Promise<boolean> {
  const before = graph.fact(node.input[0]).shape;
  if (sameShape(shape, before)) return true;
  if (!before) return false;
  const sizes = (await graph.value(node.input[1]))?.numbers;
  return sizes !== undefined && sizes.length <= before.length && sizes.every((size) => size === 1);
}

/** Unsqueeze and Squeeze of the same axes, either way round: both count axes in the longer shape. */
async function undoes(graph: WorkGraph, node: NodeProto, first: NodeProto): Promise<boolean> {
  const ops = [graph.op(node), graph.op(first)].sort().join(' ');
  if (ops !== 'Squeeze Unsqueeze') return false;
  const [a, b] = [await axesOf(graph, node), await axesOf(graph, first)];
  return a !== undefined && b !== undefined && [...a].sort().join() === [...b].sort().join();
}

/** The second one takes what the first one takes, and says the whole shape. */
async function merge(graph: WorkGraph, node: NodeProto, source: string): Promise<boolean> {
  const shape = graph.fact(node.output[0]).shape;
  const given = graph.op(node) === 'Reshape' ? await sizesOf(graph, node) : undefined;
  if (given?.every((size) => size !== 0)) {
    graph.replace(node, { ...node, input: [source, ...node.input.slice(1)] });
    return true;
  }
  const target = shape && reshapeTarget(shape, graph.fact(source).shape);
  if (!target) return false;
  const name = graph.addConstant(`${node.output[0] ?? ''}_shape`, 'i64', [target.length], target.map(BigInt));
  graph.replace(node, rewritten(node, 'Reshape', [source, name]));
  return true;
}

/** The sizes that Reshape is given, if no 0 among them stands for itself. */
async function sizesOf(graph: WorkGraph, node: NodeProto): Promise<readonly number[] | undefined> {
  if ((numberOf(node, 'allowzero') ?? 0) !== 0) return undefined;
  return (await graph.value(inputOf(node, 1)))?.numbers;
}
