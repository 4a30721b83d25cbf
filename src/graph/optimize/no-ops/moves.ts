import type { NodeProto } from '../../../formats/onnx/schema.js';
import { inputOf, intsOf, numberOf, outputOf, textOf } from '../../opset/attributes.js';
import { axesOf, normalized } from '../axes.js';
import { isStatic, sameShape } from '../facts.js';
import { opsetOf } from '../rewritten.js';
import type { WorkGraph } from '../work-graph.js';
import type { Rule, Rules } from './rule.js';

/** An end that no dimension reaches: exporters write the largest 32- or 64-bit integer. */
const TO_THE_END = 2 ** 31 - 1;

const numbersOf = async (
  graph: WorkGraph,
  node: NodeProto,
  at: number,
): Promise<readonly number[] | undefined> => (await graph.value(inputOf(node, at)))?.numbers;

const sameAsInput = (graph: WorkGraph, node: NodeProto): boolean =>
  sameShape(graph.fact(inputOf(node, 0)).shape, graph.fact(outputOf(node, 0)).shape);

const slice: Rule = async (graph, node) => {
  const old = opsetOf(graph) < 10;
  const steps = old || !inputOf(node, 4) ? [1] : await numbersOf(graph, node, 4);
  if (!steps?.every((step) => step === 1)) return undefined;
  // As large as before, in steps of 1: all of it.
  if (sameAsInput(graph, node)) return node.input[0];
  const starts = old ? intsOf(node, 'starts')?.map(Number) : await numbersOf(graph, node, 1);
  const ends = old ? intsOf(node, 'ends')?.map(Number) : await numbersOf(graph, node, 2);
  const whole = starts?.every((start) => start === 0) && ends?.every((end) => end >= TO_THE_END);
  return whole ? node.input[0] : undefined;
};

const pad: Rule = async (graph, node) => {
  const old = intsOf(node, 'pads')?.map(Number);
  const pads = old ?? (await numbersOf(graph, node, 1));
  return pads && pads.length > 0 && pads.every((one) => one === 0) ? node.input[0] : undefined;
};

/** Sizes that stay, sampled where the elements lie: in every mode but the one that looks at a part of the image. */
const resize: Rule = async (graph, node) => {
  if (opsetOf(graph) < 11 || textOf(node, 'coordinate_transformation_mode') === 'tf_crop_and_resize')
    return undefined;
  const scales = await graph.value(inputOf(node, 2));
  if (scales && scales.numbers.length > 0)
    return scales.numbers.every((scale) => scale === 1) ? node.input[0] : undefined;
  const policy = textOf(node, 'keep_aspect_ratio_policy') ?? 'stretch';
  const sized = inputOf(node, 3) !== undefined && policy === 'stretch';
  const still = sized && sameAsInput(graph, node) && isStatic(graph.fact(node.input[0]).shape);
  return still ? node.input[0] : undefined;
};

const tile: Rule = async (graph, node) => {
  const repeats = await numbersOf(graph, node, 1);
  return opsetOf(graph) >= 6 && repeats?.every((one) => one === 1) ? node.input[0] : undefined;
};

const where: Rule = async (graph, node) => {
  const condition = await numbersOf(graph, node, 0);
  if (!condition || condition.length === 0) return undefined;
  const [first = 0] = condition;
  if (!condition.every((one) => one === first)) return undefined;
  const chosen = inputOf(node, first === 0 ? 2 : 1);
  return sameShape(graph.fact(chosen).shape, graph.fact(outputOf(node, 0)).shape) ? chosen : undefined;
};

/** 0, 1, 2, … of as many as there are. */
const gather: Rule = async (graph, node) => {
  const shape = graph.fact(inputOf(node, 0)).shape;
  const indices = await graph.value(inputOf(node, 1));
  if (!shape || indices?.shape.length !== 1) return undefined;
  const [axis = -1] = normalized([numberOf(node, 'axis') ?? 0], shape.length) ?? [];
  if (shape[axis] !== indices.numbers.length) return undefined;
  return indices.numbers.every((index, i) => index === i) ? node.input[0] : undefined;
};

/** Over dimensions of size 1 that stay: each element by itself. */
const reduce: Rule = async (graph, node) => {
  const shape = graph.fact(inputOf(node, 0)).shape;
  if (!shape || numberOf(node, 'keepdims') === 0) return undefined;
  const given = await axesOf(graph, node);
  if (!given && inputOf(node, 1) !== undefined) return undefined;
  if ((given ?? []).length === 0 && numberOf(node, 'noop_with_empty_axes') === 1) return node.input[0];
  const axes = given && given.length > 0 ? normalized(given, shape.length) : [...shape.keys()];
  return axes?.every((axis) => shape[axis] === 1) ? node.input[0] : undefined;
};

/** Elements stay where they are, and all of them. */
export const MOVES: Rules = {
  Slice: slice,
  Pad: pad,
  Resize: resize,
  Tile: tile,
  Where: where,
  Gather: gather,
  Split: (_graph, node) => (node.output.length === 1 ? inputOf(node, 0) : undefined),
  DepthToSpace: (_graph, node) => (numberOf(node, 'blocksize') === 1 ? inputOf(node, 0) : undefined),
  SpaceToDepth: (_graph, node) => (numberOf(node, 'blocksize') === 1 ? inputOf(node, 0) : undefined),
  ReduceMax: reduce,
  ReduceMin: reduce,
  ReduceProd: reduce,
  ReduceMean: reduce,
  ReduceSum: reduce,
};
