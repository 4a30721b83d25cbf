import { readTensor } from '../../core/tensor.js';
import type { EditNode } from '../edit.js';
import type { DynamicGraph, NodeList } from './dynamic-graph.js';

/**
 * Conv: ConvInteger, which has the attributes of Conv and no bias.
 *
 * Its weights are unsigned unless signed ones are asked for. onnxruntime up to 1.23, native and in browsers, has no
 * kernel for signed ones: the session is not even made. 1.24 has one, which is slower (1.30, one thread, four small
 * shapes: 1.2 to 3.3 times on a processor with VNNI, 1.5 to 7.3 times in WebAssembly). MatMulInteger takes both
 * everywhere. The weights have one scale for all channels: the kernel refuses more than one zero point.
 */
export async function dynamicConv(graph: DynamicGraph, node: EditNode): Promise<NodeList | undefined> {
  const [x = '', w = '', bias = ''] = node.input;
  const [output = ''] = node.output;
  if (graph.edit.isConstant(x)) return undefined;
  const rank = graph.weights.wanted(w)?.info.shape.length ?? 0;
  if (rank < 3) return undefined;
  const signed = graph.settings.weightSign === 'signed';
  const weight = await graph.weights.store(w, { dtype: signed ? 'i8' : 'u8' });
  if (!weight) return undefined;
  note(graph, signed);

  const nodes: NodeList = [];
  const activation = graph.activation(x, nodes);
  const sums = graph.edit.fresh(`${output}_integers`);
  nodes.push({
    ...graph.edit.make({
      op: 'ConvInteger',
      inputs: [activation.integers, weight.integers, activation.zeroPoint, weight.zeroPoint],
      outputs: [sums],
    }),
    attribute: node.attribute,
  });
  const product = bias === '' ? output : graph.edit.fresh(`${output}_product`);
  graph.scaled(nodes, sums, activation.scale, weight.scale, product);
  if (bias !== '') graph.step(nodes, 'Add', [product, await biasFor(graph, nodes, bias, rank)], output);
  return nodes;
}

/** The bias in a shape that is added to every place: [channels, 1, …]. */
async function biasFor(graph: DynamicGraph, nodes: NodeList, bias: string, rank: number): Promise<string> {
  const tensor = graph.edit.tensor(bias);
  const ones = Array<number>(rank - 2).fill(1);
  if (tensor && graph.edit.isConstant(bias)) {
    const shape = [tensor.info.shape[0] ?? 0, ...ones];
    return graph.constant(`${bias}_${rank}d`, tensor.info.dtype, shape, await readTensor(tensor));
  }
  const shape = BigInt64Array.from([-1n, ...ones.map(BigInt)]);
  const wanted = graph.constant(`bias_shape_${rank}d`, 'i64', [rank - 1], new Uint8Array(shape.buffer));
  return graph.step(nodes, 'Reshape', [bias, wanted], graph.edit.fresh(`${bias}_${rank}d`));
}

function note({ remarks, settings }: DynamicGraph, signed: boolean): void {
  if (signed)
    remarks.note(
      'warning',
      'CONV_SIGNED',
      'ConvInteger with signed weights needs onnxruntime 1.24 or later (onnxruntime-web too) and is slow; unsigned ones run everywhere',
    );
  else if (settings.weightSign === undefined)
    remarks.note(
      'info',
      'CONV_UNSIGNED',
      'weights of Conv are unsigned, as onnxruntime before 1.24 (onnxruntime-web too) has no ConvInteger for signed ones',
    );
  if (settings.perChannel)
    remarks.note('info', 'CONV_PER_TENSOR', 'weights of Conv have one scale each: ConvInteger takes no more');
}
