import type { Model } from '../core/model.js';
import { type GraphPlace, initializersOf } from '../formats/onnx/graphs.js';
import type { GraphProto, ModelProto, NodeProto } from '../formats/onnx/schema.js';
import { protoOf } from '../formats/onnx/summary.js';

/** How an operator takes a tensor. */
export interface WeightUse {
  readonly op: string;
  /** Sums over it (MatMul, Conv, …), or picks rows of it (Gather). */
  readonly kind: 'multiplied' | 'table';
  /** First axis that is summed over, and whether all axes behind it are too. */
  readonly axis: number;
  readonly behind: boolean;
}

const flag = (node: NodeProto, attribute: string): boolean =>
  (node.attribute.find(({ name }) => name === attribute)?.i ?? 0n) !== 0n;

/** Operators that hand a weight on as it is, or in another type. */
const PASSES: ReadonlySet<string> = new Set(['Identity', 'Cast']);

const along = (op: string, axis: number, behind = false): WeightUse => ({
  ...{ op, kind: 'multiplied', axis, behind },
});

/** By the definitions of the operators (onnx/docs/Operators.md, ContribOperators.md); undefined: not as a weight. */
function useOf(node: NodeProto, input: number, rank: number): WeightUse | undefined {
  const op = node.opType ?? '';
  switch (op) {
    case 'MatMul':
    case 'FusedMatMul': {
      if (input > 1 || rank < 2) return undefined;
      const turned = op === 'FusedMatMul' && flag(node, input === 0 ? 'transA' : 'transB');
      return along(op, (input === 0) === turned ? rank - 2 : rank - 1);
    }
    case 'Gemm':
    case 'FusedGemm': {
      if (input > 1 || rank !== 2) return undefined;
      return along(op, input === 0 ? (flag(node, 'transA') ? 0 : 1) : flag(node, 'transB') ? 1 : 0);
    }
    case 'Conv':
    case 'FusedConv':
    case 'NhwcFusedConv':
      return input === 1 && rank >= 3 ? along(op, 1, true) : undefined;
    case 'ConvTranspose':
      return input === 1 && rank >= 3 ? along(op, 0) : undefined;
    case 'LSTM':
    case 'GRU':
    case 'RNN':
      return (input === 1 || input === 2) && rank === 3 ? along(op, 2) : undefined;
    case 'Attention':
      return node.domain === 'com.microsoft' && input === 1 && rank === 2 ? along(op, 0) : undefined;
    case 'Gather':
      return input === 0 && rank >= 2 ? { op, kind: 'table', axis: rank - 1, behind: false } : undefined;
    default:
      return undefined;
  }
}

/**
 * How the nodes of a graph, sub-graphs included, take its initializers as weights: uses by the name of the tensor. What
 * reaches an operator through Cast or Identity counts; other uses (sums, norms, shapes, calls of functions) do not.
 */
export function weightUses(model: Model): ReadonlyMap<string, readonly WeightUse[]> {
  const uses = new Map<string, WeightUse[]>();
  if (!model.graph) return uses;
  const proto = protoOf(model.graph);
  const ranks = new Map(model.tensors.map(({ info }) => [info.name, info.shape.length]));
  const names = namesByMessage(proto);
  const visit = (graph: GraphProto, outer: ReadonlyMap<string, string>): void => {
    const scope = new Map(outer);
    for (const { name } of graph.input) scope.delete(name ?? '');
    for (const message of [...graph.initializer, ...graph.sparseInitializer]) {
      const own = 'values' in message ? message.values?.name : message.name;
      const tensor = names.get(message);
      if (tensor !== undefined) scope.set(own ?? '', tensor);
    }
    for (const node of graph.node) {
      for (const [input, value] of node.input.entries()) {
        const tensor = scope.get(value);
        if (tensor === undefined) continue;
        const [output] = node.output;
        if (PASSES.has(node.opType ?? '') && output) scope.set(output, tensor);
        const use = useOf(node, input, ranks.get(tensor) ?? 0);
        if (use) uses.set(tensor, [...(uses.get(tensor) ?? []), use]);
      }
      for (const { g, graphs } of node.attribute)
        for (const inner of g ? [g, ...graphs] : graphs) visit(inner, scope);
    }
  };
  if (proto.graph) visit(proto.graph, new Map());
  return uses;
}

/** Names of tensors by the messages that hold them. */
const namesByMessage = (
  proto: ModelProto,
): ReadonlyMap<
  GraphPlace['graph']['initializer'][number] | GraphProto['sparseInitializer'][number],
  string
> => new Map([...initializersOf(proto)].map((one) => ['tensor' in one ? one.tensor : one.sparse, one.name]));
