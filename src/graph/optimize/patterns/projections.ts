import type { NodeProto } from '../../../formats/onnx/schema.js';
import { inputOf, outputOf } from '../../opset/attributes.js';
import { constantModel } from '../constant-model.js';
import type { Services } from '../pass.js';
import type { WorkGraph } from '../work-graph.js';
import { unscaled } from './attention.js';
import { ownWeight } from './convolution.js';

/** x·W + b, perhaps times a number, with a matrix and a bias of its own. */
export interface Projection {
  readonly x: string;
  readonly weight: string;
  readonly bias?: string;
  readonly factor: number;
  readonly nodes: readonly NodeProto[];
}

/** How a value [batch, places, size] comes from another one of three axes; undefined if by anything else. */
export async function projectionOf(
  graph: WorkGraph,
  value: string,
  size: number,
): Promise<Projection | undefined> {
  const { value: plain, factor, nodes } = await unscaled(graph, value);
  const add = graph.maker(plain, 'Add');
  const side = add && graph.maker(inputOf(add, 0), 'MatMul') ? 0 : 1;
  const product = add ? graph.maker(inputOf(add, side), 'MatMul') : graph.maker(plain, 'MatMul');
  const bias = add && inputOf(add, 1 - side);
  const [x, weight] = [product && inputOf(product, 0), product && inputOf(product, 1)];
  if (!product || x === undefined || weight === undefined) return undefined;
  const shape = ownWeight(graph, weight)?.info.shape;
  if (shape?.length !== 2 || shape[1] !== size || graph.fact(x).shape?.length !== 3) return undefined;
  const moved = bias === undefined ? undefined : graph.constant(bias);
  if (bias !== undefined && (moved?.info.dtype !== 'f32' || moved.info.shape.join() !== String(size)))
    return undefined;
  return {
    x,
    weight,
    factor,
    nodes: [product, ...(add ? [add] : []), ...nodes],
    ...(bias === undefined ? {} : { bias }),
  };
}

/** The matrices and biases of several projections side by side, put together by the runtime. */
export async function sideBySide(
  graph: WorkGraph,
  projections: readonly Projection[],
  size: number,
  { evaluate }: Services,
): Promise<{ readonly weight: string; readonly bias: string } | undefined> {
  const zeros = projections.some(({ bias }) => bias === undefined)
    ? graph.addConstant('attention_zeros', 'f32', [size], new Array<number>(size).fill(0))
    : undefined;
  const concat = (inputs: readonly string[], axis: bigint, hint: string): NodeProto =>
    graph.make({ op: 'Concat', inputs, outputs: [graph.fresh(hint)], attributes: { axis } });
  const [first] = projections;
  const weights = concat(
    projections.map(({ weight }) => weight),
    1n,
    `${first?.weight}_packed`,
  );
  const biases = concat(
    projections.map(({ bias }) => bias ?? zeros ?? ''),
    0n,
    `${first?.weight}_packed_bias`,
  );
  const names = [weights, biases].map((node) => outputOf(node, 0) ?? '');
  const results = await evaluate(constantModel(graph, [weights, biases], names));
  if (zeros !== undefined) graph.dropTensor(zeros);
  const [weight, bias] = names.map((name) => results?.get(name));
  if (!weight || !bias) return undefined;
  return {
    weight: graph.addTensor(names[0] ?? '', weight),
    bias: graph.addTensor(names[1] ?? '', bias),
  };
}
