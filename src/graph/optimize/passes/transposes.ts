import type { NodeProto } from '../../../formats/onnx/schema.js';
import { inputOf, intsOf, outputOf } from '../../opset/attributes.js';
import type { GraphPass } from '../pass.js';
import { reshapeTarget } from '../reshape-target.js';
import { opsetOf, rewritten } from '../rewritten.js';
import type { WorkGraph } from '../work-graph.js';

/** One value in, one out, element by element: the order of dimensions does not matter to them. */
const ELEMENTWISE = [
  'Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Cast Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid',
  'HardSwish IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus',
  'Softsign Sqrt Swish Tan Tanh ThresholdedRelu com.microsoft::Gelu com.microsoft::QuickGelu',
].flatMap((line) => line.split(' '));

/**
 * Transposes that undo or continue each other, also with elementwise operators between them; those that move nothing;
 * those that move only dimensions of size 1, which a Reshape does without copying.
 */
export const transposes: GraphPass = {
  name: 'transposes',
  summary: 'transposes in a row become one or none; those that move nothing go',
  level: 'basic',
  apply(graph) {
    let found = 0;
    for (const original of graph.nodes) {
      const node = graph.maker(outputOf(original, 0), 'Transpose');
      if (node && simplify(graph, node)) found++;
    }
    return found;
  },
};

function simplify(graph: WorkGraph, node: NodeProto): boolean {
  const [input, output] = [inputOf(node, 0), outputOf(node, 0)];
  const order = input === undefined ? undefined : orderOf(graph, node);
  if (input === undefined || output === undefined || !order) return false;
  if (isIdentity(order) && graph.bypass(node, output, input)) return true;
  const first = graph.maker(input, 'Transpose');
  const before = first && orderOf(graph, first);
  const source = first && inputOf(first, 0);
  if (source !== undefined && before && before.length === order.length) {
    const whole = order.map((axis) => before[axis] ?? 0);
    if (isIdentity(whole) && graph.bypass(node, output, source)) return true;
    graph.replace(node, rewritten(node, 'Transpose', [source], { perm: whole.map(BigInt) }));
    return true;
  }
  return through(graph, node, order) || asReshape(graph, node, order);
}

/** `perm`, or all dimensions the other way round. */
function orderOf(graph: WorkGraph, node: NodeProto): readonly number[] | undefined {
  const given = intsOf(node, 'perm')?.map(Number);
  if (given) return new Set(given).size === given.length ? given : undefined;
  const rank = graph.fact(inputOf(node, 0)).shape?.length;
  return rank === undefined ? undefined : Array.from({ length: rank }, (_, i) => rank - 1 - i);
}

const isIdentity = (order: readonly number[]): boolean => order.every((axis, i) => axis === i);

/** Transpose, elementwise operators that nothing else takes from, and the transpose back: both go. */
function through(graph: WorkGraph, node: NodeProto, order: readonly number[]): boolean {
  const chain: NodeProto[] = [];
  let taker = node;
  let value = inputOf(node, 0);
  let maker = graph.maker(value, ...ELEMENTWISE);
  while (maker && value !== undefined && graph.soleTaker(value) === taker) {
    chain.unshift(maker);
    taker = maker;
    value = inputOf(maker, 0);
    maker = graph.maker(value, ...ELEMENTWISE);
  }
  const first = chain.length > 0 ? graph.maker(value, 'Transpose') : undefined;
  const before = first && orderOf(graph, first);
  const source = first && inputOf(first, 0);
  const [output] = node.output;
  if (!before || source === undefined || !output || before.length !== order.length) return false;
  if (!isIdentity(order.map((axis) => before[axis] ?? -1))) return false;
  let from = source;
  for (const [i, one] of chain.entries()) {
    // Values of another shape get names of their own: what was known of the old ones holds no more.
    const to = i === chain.length - 1 ? output : graph.fresh(one.output[0] ?? '');
    const input = [from, ...one.input.slice(1)];
    const moved = { ...one, input, output: [to] };
    if (i === chain.length - 1) {
      graph.remove(one);
      graph.replace(node, moved);
    } else graph.replace(one, moved);
    from = to;
  }
  return true;
}

/** Only sizes of 1 change their places: the elements stay in order. */
function asReshape(graph: WorkGraph, node: NodeProto, order: readonly number[]): boolean {
  const [input] = node.input;
  const shape = graph.fact(input).shape;
  if (!input || !shape || shape.length !== order.length || isIdentity(order) || opsetOf(graph) < 5)
    return false;
  const moved = order.filter((axis) => shape[axis] !== 1);
  if (moved.some((axis, i) => axis < (moved[i - 1] ?? -1))) return false;
  const target = reshapeTarget(
    order.map((axis) => shape[axis]),
    shape,
  );
  if (!target) return false;
  const name = graph.addConstant(`${node.output[0] ?? ''}_shape`, 'i64', [target.length], target.map(BigInt));
  graph.replace(node, rewritten(node, 'Reshape', [input, name]));
  return true;
}
