import type { EditNode } from '../edit.js';
import { type DynamicGraph, floatOf, intOf, type NodeList } from './dynamic-graph.js';
import type { StoredWeight } from './dynamic-weights.js';

/** A weight of a matrix product. */
interface Factor {
  readonly name: string;
  /** It is stored as [columns, rows] and has to be turned. */
  readonly turned: boolean;
}

/** MatMul with a weight on the right: MatMulInteger. */
export async function dynamicMatMul(graph: DynamicGraph, node: EditNode): Promise<NodeList | undefined> {
  const [a = '', b = ''] = node.input;
  const [output = ''] = node.output;
  if (graph.edit.isConstant(a) && !graph.edit.isConstant(b)) {
    graph.weights.wanted(a, 'are the left factors of MatMul');
    return undefined;
  }
  const stored = await storedFactor(graph, a, factorOf(graph, b, false));
  if (!stored) return undefined;
  const nodes: NodeList = [];
  product(graph, nodes, a, stored, stored.scale, output);
  return nodes;
}

/** Gemm: alpha goes into the scale, beta times C is added after the product. */
export async function dynamicGemm(graph: DynamicGraph, node: EditNode): Promise<NodeList | undefined> {
  const [a = '', b = '', c = ''] = node.input;
  const [output = ''] = node.output;
  const alpha = floatOf(node, 'alpha', 1);
  const beta = floatOf(node, 'beta', 1);
  const stored = await storedFactor(graph, a, factorOf(graph, b, intOf(node, 'transB', 0) !== 0));
  if (!stored) return undefined;
  const nodes: NodeList = [];
  const adds = c !== '' && beta !== 0;
  const made = adds ? graph.edit.fresh(`${output}_product`) : output;
  const scale = alpha === 1 ? stored.scale : graph.weights.scaleTimes(stored, alpha);
  product(graph, nodes, a, stored, scale, made, intOf(node, 'transA', 0) !== 0);
  if (!adds) return nodes;
  const addend =
    beta === 1 ? c : graph.step(nodes, 'Mul', [c, graph.scalar(beta)], graph.edit.fresh(`${output}_addend`));
  graph.step(nodes, 'Add', [made, addend], output);
  return nodes;
}

function product(
  graph: DynamicGraph,
  nodes: NodeList,
  a: string,
  weight: StoredWeight,
  scale: string,
  output: string,
  turnA = false,
): void {
  const activation = graph.activation(a, nodes);
  const left = turnA
    ? graph.step(nodes, 'Transpose', [activation.integers], graph.edit.fresh(`${a}_turned`), {
        perm: [1n, 0n],
      })
    : activation.integers;
  const sums = graph.step(
    nodes,
    'MatMulInteger',
    [left, weight.integers, activation.zeroPoint, weight.zeroPoint],
    graph.edit.fresh(`${output}_integers`),
  );
  graph.scaled(nodes, sums, activation.scale, scale, output);
}

/** Exporters that fold no constants turn the weight of a linear layer in front of its MatMul. */
function factorOf(graph: DynamicGraph, name: string, turned: boolean): Factor {
  const maker = graph.producer(name);
  const [source = ''] = maker?.input ?? [];
  const rank = graph.edit.tensor(source)?.info.shape.length;
  const turns = maker?.opType === 'Transpose' && (maker.domain ?? '') === '' && rank === 2;
  const perm = maker?.attribute.find((one) => one.name === 'perm')?.ints ?? [1n, 0n];
  if (!maker || !turns || perm[0] !== 1n) return { name, turned };
  graph.passed.add(maker);
  return { name: source, turned: !turned };
}

async function storedFactor(
  graph: DynamicGraph,
  activation: string,
  { name, turned }: Factor,
): Promise<StoredWeight | undefined> {
  if (graph.edit.isConstant(activation)) return undefined; // nothing dynamic about it: the runtime folds it
  const tensor = graph.weights.wanted(name);
  if (!tensor) return undefined;
  const rank = tensor.info.shape.length;
  if (rank < 2) {
    graph.remarks.left(name, 'are vectors');
    return undefined;
  }
  // Signed unless asked otherwise: 2.6 times as fast as unsigned on a processor with VNNI, the same in WebAssembly
  // (onnxruntime 1.30, one thread, 64×512 by 512×512). Without 8-bit dot products sums may saturate: --reduce-range.
  // A scale for every column; stacks of matrices have one for all, which is what the runtime's kernel takes.
  const perChannel = graph.settings.perChannel === true && rank === 2;
  return graph.weights.store(name, {
    dtype: graph.settings.weightSign === 'unsigned' ? 'u8' : 'i8',
    ...(perChannel ? { axis: turned ? 0 : 1 } : {}),
    ...(turned ? { turned } : {}),
  });
}
