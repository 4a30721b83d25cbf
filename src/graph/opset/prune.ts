import type {
  AttributeProto,
  FunctionProto,
  GraphProto,
  ModelProto,
  NodeProto,
  SparseTensorProto,
  TensorProto,
} from '../../formats/onnx/schema.js';
import { namesOf } from './names.js';

/**
 * Leaves out initializers and Constant nodes that something used before and nothing uses now: what became attributes.
 * What was idle before stays.
 */
export function prune(
  before: ModelProto,
  after: ModelProto,
  keep: ReadonlySet<TensorProto | SparseTensorProto>,
): ModelProto {
  const { used: was } = namesOf(before);
  const { used: is } = namesOf(after);
  const idle = (name: string | undefined): boolean => name !== undefined && was.has(name) && !is.has(name);

  const pruneNodes = (nodes: readonly NodeProto[]): readonly NodeProto[] =>
    nodes
      .filter((node) => node.opType !== 'Constant' || !idle(node.output[0]))
      .map((node) => {
        if (!node.attribute.some(({ g, graphs }) => g || graphs.length > 0)) return node;
        return { ...node, attribute: node.attribute.map(pruneAttribute) };
      });
  const pruneAttribute = (attribute: AttributeProto): AttributeProto => ({
    ...attribute,
    g: attribute.g && pruneGraph(attribute.g),
    graphs: attribute.graphs.map(pruneGraph),
  });
  const pruneGraph = (graph: GraphProto): GraphProto => {
    const inputs = new Set(graph.input.map(({ name }) => name));
    return {
      ...graph,
      node: pruneNodes(graph.node),
      valueInfo: graph.valueInfo.filter(({ name }) => !idle(name)),
      initializer: graph.initializer.filter(
        (tensor) => keep.has(tensor) || inputs.has(tensor.name) || !idle(tensor.name),
      ),
    };
  };
  return {
    ...after,
    graph: after.graph && pruneGraph(after.graph),
    functions: after.functions.map((body): FunctionProto => ({ ...body, node: pruneNodes(body.node) })),
  };
}
