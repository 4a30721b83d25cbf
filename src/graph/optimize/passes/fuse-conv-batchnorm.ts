import type { NodeProto } from '../../../formats/onnx/schema.js';
import { inputOf, outputOf, withInputs } from '../../opset/attributes.js';
import { nodesOf } from '../fuse.js';
import type { GraphPass } from '../pass.js';
import { AFFINE, type Affine, affineOf } from '../patterns/affine.js';
import { type Convolution, convolutionOf, scaledWeight } from '../patterns/convolution.js';
import type { WorkGraph } from '../work-graph.js';

/**
 * A scale and shift of each channel behind a convolution go into its weights and bias: BatchNormalization, Mul, Div, Add,
 * Sub. Weights are multiplied in f64 when they are pulled, and rounded once.
 */
export const fuseConvBatchNorm: GraphPass = {
  name: 'fuse-conv-batchnorm',
  summary: 'BatchNormalization, Mul and Add behind Conv and ConvTranspose go into its weights',
  level: 'extended',
  async apply(graph) {
    let fused = 0;
    for (const node of nodesOf(graph, ...AFFINE)) if (await absorb(graph, node)) fused++;
    return fused;
  },
};

async function absorb(graph: WorkGraph, node: NodeProto): Promise<boolean> {
  for (const name of node.input.slice(0, 2)) {
    const maker = graph.maker(name, 'Conv', 'ConvTranspose');
    const conv = maker && graph.soleTaker(name) === node ? await convolutionOf(graph, maker) : undefined;
    if (!conv) continue;
    const affine = await affineOf(graph, node, { axis: 1, rank: conv.rank, channels: conv.channelsOut });
    if (affine?.x !== name) continue;
    graph.replace(node, { ...changed(graph, conv, affine), output: [outputOf(node, 0) ?? ''] });
    graph.remove(conv.node);
    return true;
  }
  return false;
}

function changed(graph: WorkGraph, conv: Convolution, { scale, shift }: Affine): NodeProto {
  const { node, weightName, bias, channelsOut } = conv;
  const weight = scale
    ? graph.addTensor(`${weightName}_scaled`, scaledWeight(conv, 'out', scale))
    : weightName;
  const moved = Array.from(
    { length: channelsOut },
    (_, i) => (bias?.[i] ?? 0) * (scale?.[i] ?? 1) + (shift?.[i] ?? 0),
  );
  const hint = inputOf(node, 2) ?? `${weightName}_bias`;
  const added = bias || shift ? graph.addConstant(hint, 'f32', [channelsOut], moved) : undefined;
  return withInputs(node, [inputOf(node, 0), weight, added]);
}
