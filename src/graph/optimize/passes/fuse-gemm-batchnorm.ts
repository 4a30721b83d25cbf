import type { NodeProto } from '../../../formats/onnx/schema.js';
import { scaledTensor } from '../../../kernels/quantize/scaled.js';
import { floatOf, inputOf, numberOf, outputOf, withAttributes, withInputs } from '../../opset/attributes.js';
import { fuse, nodesOf, opsetOf } from '../fuse.js';
import type { GraphPass } from '../pass.js';
import { AFFINE, type Affine, affineOf, perChannel } from '../patterns/affine.js';
import { ownWeight } from '../patterns/convolution.js';
import type { WorkGraph } from '../work-graph.js';

/** Operator set from which Gemm broadcasts its bias by itself. */
const BROADCASTS = 7;

/**
 * A scale and shift of each column behind a product with a constant matrix go into the matrix and its bias: Gemm, and
 * MatMul of two matrices, which becomes Gemm where it is shifted.
 */
export const fuseGemmBatchNorm: GraphPass = {
  name: 'fuse-gemm-batchnorm',
  summary: 'BatchNormalization, Mul and Add behind Gemm and MatMul go into the matrix and its bias',
  level: 'extended',
  async apply(graph) {
    if (opsetOf(graph) < BROADCASTS) return 0;
    let fused = 0;
    for (const node of nodesOf(graph, ...AFFINE)) if (await absorb(graph, node)) fused++;
    return fused;
  },
};

async function absorb(graph: WorkGraph, node: NodeProto): Promise<boolean> {
  for (const name of node.input.slice(0, 2)) {
    const product = graph.maker(name, 'Gemm', 'MatMul');
    if (!product || graph.soleTaker(name) !== node) continue;
    const weightName = inputOf(product, 1);
    const weight = ownWeight(graph, weightName);
    const [a, rank] = [graph.fact(inputOf(product, 0)), 2];
    if (!weight || weight.info.shape.length !== rank || a.shape?.length !== rank) continue;
    const axis = numberOf(product, 'transB') === 1 ? 0 : 1;
    const channels = weight.info.shape[axis] ?? 0;
    const affine = await affineOf(graph, node, { axis: 1, rank, channels });
    if (affine?.x !== name) continue;
    const bias = await biasOf(graph, product, channels);
    // A product that is only moved is the business of another pass.
    if (bias === undefined || (graph.op(product) === 'MatMul' && !affine.scale)) continue;
    const { scale } = affine;
    const scaled = scale
      ? graph.addTensor(`${weightName}_scaled`, scaledTensor(weight, axis, scale))
      : weightName;
    const moved = movedBias(affine, bias, channels);
    const hint = inputOf(product, 2) ?? `${weightName}_bias`;
    const added = moved && graph.addConstant(hint, 'f32', [channels], moved);
    const inputs = [inputOf(product, 0), scaled, added];
    if (graph.op(product) === 'MatMul' && added !== undefined)
      return fuse(graph, [product], node, { op: 'Gemm', inputs: inputs.map((input) => input ?? '') });
    const whole = graph.op(product) === 'Gemm' ? withAttributes(product, { beta: 1 }) : product;
    graph.replace(node, { ...withInputs(whole, inputs), output: [outputOf(node, 0) ?? ''] });
    graph.remove(product);
    return true;
  }
  return false;
}

/** The bias as it is added, a number for each column; null: none; undefined: it is something else. */
async function biasOf(
  graph: WorkGraph,
  product: NodeProto,
  channels: number,
): Promise<Float64Array | null | undefined> {
  const name = inputOf(product, 2);
  if (name === undefined) return null;
  const beta = floatOf(product, 'beta') ?? 1;
  const found = await perChannel(graph, name, { axis: 1, rank: 2, channels });
  return found?.map((value) => value * beta);
}

function movedBias(
  { scale, shift }: Affine,
  bias: Float64Array | null,
  channels: number,
): readonly number[] | undefined {
  if (!bias && !shift) return undefined;
  return Array.from({ length: channels }, (_, i) => (bias?.[i] ?? 0) * (scale?.[i] ?? 1) + (shift?.[i] ?? 0));
}
