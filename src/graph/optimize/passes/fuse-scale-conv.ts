import type { NodeProto } from '../../../formats/onnx/schema.js';
import { inputOf, outputOf, withInputs } from '../../opset/attributes.js';
import { readConstant } from '../../opset/constant-value.js';
import { constantModel } from '../constant-model.js';
import { nodesOf } from '../fuse.js';
import type { GraphPass, Services } from '../pass.js';
import { AFFINE, affineOf } from '../patterns/affine.js';
import { type Convolution, convolutionOf, isUnpadded, scaledWeight } from '../patterns/convolution.js';
import type { WorkGraph } from '../work-graph.js';

const WRITTEN_OUT = ['Mul', 'Add', 'Clip', 'Erf', 'Tanh', 'Sigmoid'] as const;

/**
 * A scale of each channel in front of a convolution goes into its weights. A shift goes into its bias where nothing is
 * padded: at padded borders it would be missing. onnxruntime does not do this itself.
 */
export const fuseScaleConv: GraphPass = {
  name: 'fuse-scale-conv',
  summary:
    'BatchNormalization, Mul and Add in front of Conv go into its weights (shifts only without padding)',
  level: 'extended',
  async apply(graph, { services }) {
    let fused = 0;
    for (const node of nodesOf(graph, 'Conv', 'ConvTranspose'))
      if (await absorb(graph, node, services)) fused++;
    return fused;
  },
};

async function absorb(graph: WorkGraph, node: NodeProto, services: Services): Promise<boolean> {
  const before = graph.maker(inputOf(node, 0), ...AFFINE);
  if (!before || graph.soleTaker(outputOf(before, 0)) !== node) return false;
  const conv = await convolutionOf(graph, node);
  if (!conv) return false;
  const layout = { axis: 1, rank: conv.rank, channels: conv.channelsIn };
  const affine = await affineOf(graph, before, layout);
  if (!affine) return false;
  const { x, scale, shift } = affine;
  // The last number of an activation that is written out (½ of GELU): the runtime would not know it again.
  if (graph.maker(x, ...WRITTEN_OUT)) return false;
  // It may have given x its axes, or its channels.
  const { shape } = graph.fact(x);
  if (shape?.length !== conv.rank || shape[1] !== conv.channelsIn) return false;
  if (shift && (conv.transposed || !isUnpadded(node))) return false;
  const sums = shift && (await shifted(graph, conv, shift, services));
  if (shift && !sums) return false;
  const { weightName, bias, channelsOut } = conv;
  const weight = scale
    ? graph.addTensor(`${weightName}_scaled`, scaledWeight(conv, 'in', scale))
    : weightName;
  const moved = sums?.map((sum, i) => sum + (bias?.[i] ?? 0));
  const added = moved
    ? graph.addConstant(inputOf(node, 2) ?? `${weightName}_bias`, 'f32', [channelsOut], [...moved])
    : inputOf(node, 2);
  graph.replace(node, withInputs(node, [x, weight, added]));
  graph.remove(before);
  return true;
}

/** What the weights make of the shift alone: the runtime is given a single patch of it. */
async function shifted(
  graph: WorkGraph,
  { weight, weightName, group, channelsIn }: Convolution,
  shift: Float64Array,
  { evaluate }: Services,
): Promise<Float64Array | undefined> {
  const kernel = weight.info.shape.slice(2);
  const patch = kernel.reduce((all, size) => all * size, 1);
  const values = Array.from({ length: channelsIn * patch }, (_, i) => shift[Math.floor(i / patch)] ?? 0);
  const input = graph.addConstant(`${weightName}_shift`, 'f32', [1, channelsIn, ...kernel], values);
  const output = graph.fresh(`${weightName}_sums`);
  const inputs = [input, weightName];
  const once = graph.make({
    op: 'Conv',
    inputs,
    outputs: [output],
    attributes: { group: BigInt(group) },
  });
  const results = await evaluate(constantModel(graph, [once], [output]));
  graph.dropTensor(input);
  const sums = results?.get(output);
  if (!sums) return undefined;
  const read = await readConstant(sums);
  return read && Float64Array.from(read.numbers);
}
