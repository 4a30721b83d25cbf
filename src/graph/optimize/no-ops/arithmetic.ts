import type { NodeProto } from '../../../formats/onnx/schema.js';
import { inputOf } from '../../opset/attributes.js';
import type { Constant } from '../../opset/constant-value.js';
import type { WorkGraph } from '../work-graph.js';
import type { Rules } from './rule.js';

/** What they give is never -0, to which adding 0 would do something. */
const NEVER_NEGATIVE_ZERO = ['Abs', 'Exp', 'Sigmoid', 'Softmax', 'Shape', 'Size', 'Softplus', 'HardSigmoid'];

/** A constant that changes nothing, on the right or (where the order does not matter) on the left. */
export const ARITHMETIC: Rules = {
  Add: async (graph, node) =>
    (await neutral(graph, node, 0, isNoAddend)) ?? (await neutral(graph, node, 1, isNoAddend)),
  Sub: (graph, node) => neutral(graph, node, 0, (value) => all(value, (n) => Object.is(n, 0))),
  Mul: async (graph, node) =>
    (await neutral(graph, node, 0, isFactorOne)) ?? (await neutral(graph, node, 1, isFactorOne)),
  Div: (graph, node) => neutral(graph, node, 0, isOne),
  Pow: (graph, node) => neutral(graph, node, 0, isOne),
  And: async (graph, node) =>
    (await neutral(graph, node, 0, isOne)) ?? (await neutral(graph, node, 1, isOne)),
  Or: async (graph, node) =>
    (await neutral(graph, node, 0, isZero)) ?? (await neutral(graph, node, 1, isZero)),
};

type Test = (value: Constant, graph: WorkGraph, other: string) => boolean;

const all = ({ numbers }: Constant, test: (n: number) => boolean): boolean =>
  numbers.length > 0 && numbers.every(test);
const isOne: Test = (value) => all(value, (n) => n === 1);
const isZero: Test = (value) => all(value, (n) => n === 0);
/**
 * A scale of ones over a quotient or a product is that of a normalization (a new one has only ones): the runtime makes one
 * operator of it with its scale, and several without (T5 encoder: 3 % slower).
 */
const isFactorOne: Test = (value, graph, other) =>
  all(value, (n) => n === 1) && (value.numbers.length === 1 || !graph.maker(other, 'Div', 'Mul'));
/** -0 + 0 is 0: floats stay as they are with -0 only, or where they cannot be -0. */
const isNoAddend: Test = (value, graph, other) => {
  const exact = value.integers.length > 0 || graph.maker(other, ...NEVER_NEGATIVE_ZERO) !== undefined;
  return all(value, (n) => (exact ? n === 0 : Object.is(n, -0)));
};

/** The input at `at` if the other one is a constant that leaves its values and its shape alone. */
async function neutral(
  graph: WorkGraph,
  node: NodeProto,
  at: 0 | 1,
  test: Test,
): Promise<string | undefined> {
  const kept = inputOf(node, at);
  const value = await graph.value(inputOf(node, 1 - at));
  if (kept === undefined || !value || !test(value, graph, kept)) return undefined;
  const shape = graph.fact(kept).shape;
  if (value.shape.length > 0 && (!shape || shape.length < value.shape.length)) return undefined;
  const offset = (shape?.length ?? 0) - value.shape.length;
  return value.shape.every((dim, i) => dim === 1 || dim === shape?.[i + offset]) ? kept : undefined;
}
