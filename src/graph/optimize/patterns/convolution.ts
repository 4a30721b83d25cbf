import type { TensorSource } from '../../../core/tensor.js';
import type { NodeProto } from '../../../formats/onnx/schema.js';
import { scaledTensor } from '../../../kernels/quantize/scaled.js';
import { inputOf, intsOf, numberOf, textOf } from '../../opset/attributes.js';
import type { WorkGraph } from '../work-graph.js';

/** A Conv or ConvTranspose with f32 weights that only it takes, and a bias that is constant or absent. */
export interface Convolution {
  readonly node: NodeProto;
  readonly weightName: string;
  readonly weight: TensorSource;
  readonly transposed: boolean;
  /** Axes of input and output. */
  readonly rank: number;
  readonly channelsIn: number;
  readonly channelsOut: number;
  readonly group: number;
  readonly bias?: readonly number[];
}

export async function convolutionOf(graph: WorkGraph, node: NodeProto): Promise<Convolution | undefined> {
  const op = graph.op(node);
  if (op !== 'Conv' && op !== 'ConvTranspose') return undefined;
  const weightName = inputOf(node, 1);
  const weight = ownWeight(graph, weightName);
  const group = numberOf(node, 'group') ?? 1;
  if (!weight || weightName === undefined) return undefined;
  const { shape } = weight.info;
  const [first = 0, second = 0] = shape;
  if (shape.length < 3 || !(group >= 1) || first % group !== 0) return undefined;
  const transposed = op === 'ConvTranspose';
  const [channelsIn, channelsOut] = transposed ? [first, second * group] : [second * group, first];
  const biasName = inputOf(node, 2);
  const found = biasName === undefined ? undefined : await graph.value(biasName);
  if (biasName !== undefined && (found?.dtype !== 'f32' || found.numbers.length !== channelsOut))
    return undefined;
  return {
    node,
    weightName,
    weight,
    transposed,
    rank: shape.length,
    channelsIn,
    channelsOut,
    group,
    ...(found ? { bias: found.numbers } : {}),
  };
}

/** A weight of this graph, f32, that one node takes: a changed copy takes no more room than it did. */
export function ownWeight(graph: WorkGraph, name: string | undefined): TensorSource | undefined {
  const weight = name === undefined || graph.leaves(name) ? undefined : graph.tensor(name);
  if (weight?.info.dtype !== 'f32' || graph.constant(name) !== weight) return undefined;
  return graph.takers(name ?? '').length === 1 ? weight : undefined;
}

/**
 * The weight with each output channel, or each input channel, multiplied by its factor. Conv has weights [out, in / group, …],
 * ConvTranspose [in, out / group, …].
 */
export function scaledWeight(
  { weight, transposed, group }: Convolution,
  side: 'in' | 'out',
  factors: Float64Array,
): TensorSource {
  const { shape } = weight.info;
  const [first = 0, second = 0, ...kernel] = shape;
  if ((side === 'out') !== transposed) return scaledTensor(weight, 0, factors);
  // Rows of one group take the factors of that group.
  const all = Float64Array.from({ length: first * second }, (_, i) => {
    const row = Math.floor(i / second);
    return factors[Math.floor(row / (first / group)) * second + (i % second)] ?? 1;
  });
  const flat = { ...weight, info: { ...weight.info, shape: [first * second, ...kernel] } };
  const scaled = scaledTensor(flat, 0, all);
  return { ...scaled, info: { ...scaled.info, shape } };
}

/** True if no value is added at the borders. */
export function isUnpadded(node: NodeProto): boolean {
  const auto = textOf(node, 'auto_pad') ?? 'NOTSET';
  if (auto === 'VALID') return true;
  return auto === 'NOTSET' && (intsOf(node, 'pads') ?? []).every((pad) => pad === 0n);
}
