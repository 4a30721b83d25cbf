import type { TensorSource } from '../../core/tensor.js';
import type {
  AttributeProto,
  GraphProto,
  NodeProto,
  SparseTensorProto,
  TensorProto,
} from '../../formats/onnx/schema.js';
import type { FreshNames } from '../opset/constants-made.js';

/** What names of a body stand for where it is put: the names of one graph, and those of the graphs around it. */
export class NameScope {
  readonly #outer: NameScope | undefined;
  readonly #names = new Map<string, string>();

  constructor(outer?: NameScope) {
    this.#outer = outer;
  }

  set(name: string, to: string): void {
    this.#names.set(name, to);
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** The name itself if nothing is known of it; '' stays absent. */
  get(name: string): string {
    return this.#names.get(name) ?? this.#outer?.get(name) ?? name;
  }
}

export interface CopyContext {
  /** Put before the names of values and nodes. */
  readonly prefix: string;
  readonly names: FreshNames;
  /** Copies of initializers are noted here with the tensors of their originals. */
  readonly sources: Map<TensorProto | SparseTensorProto, TensorSource>;
  /** What an attribute that refers to one of the call becomes; undefined leaves it out. */
  attribute(reference: AttributeProto): AttributeProto | undefined;
}

/** Nodes under names of their own. Values that `scope` does not know yet are named anew. */
export function copyNodes(
  nodes: readonly NodeProto[],
  scope: NameScope,
  context: CopyContext,
): readonly NodeProto[] {
  for (const { output } of nodes) for (const name of output) define(name, scope, context);
  return nodes.map((node) => ({
    ...node,
    name: context.names.unique(`${context.prefix}${node.name || (node.opType ?? '')}`),
    input: node.input.map((name) => scope.get(name)),
    output: node.output.map((name) => scope.get(name)),
    attribute: node.attribute.flatMap((one) => copyAttribute(one, scope, context) ?? []),
  }));
}

function define(name: string, scope: NameScope, { names, prefix }: CopyContext): void {
  if (name !== '' && !scope.has(name)) scope.set(name, names.unique(`${prefix}${name}`));
}

function copyAttribute(
  attribute: AttributeProto,
  scope: NameScope,
  context: CopyContext,
): AttributeProto | undefined {
  if (attribute.refAttrName) {
    const value = context.attribute(attribute);
    // A graph of the call means the names of the call; copied, for it may be wanted twice.
    return value && copyGraphs({ ...value, name: attribute.name }, new NameScope(), context);
  }
  return copyGraphs(attribute, scope, context);
}

function copyGraphs(attribute: AttributeProto, scope: NameScope, context: CopyContext): AttributeProto {
  if (!attribute.g && attribute.graphs.length === 0) return attribute;
  return {
    ...attribute,
    g: attribute.g && copyGraph(attribute.g, scope, context),
    graphs: attribute.graphs.map((graph) => copyGraph(graph, scope, context)),
  };
}

function copyGraph(graph: GraphProto, outer: NameScope, context: CopyContext): GraphProto {
  const scope = new NameScope(outer);
  for (const { name } of graph.input) define(name ?? '', scope, context);
  for (const { name } of graph.initializer) define(name ?? '', scope, context);
  for (const { values } of graph.sparseInitializer) define(values?.name ?? '', scope, context);
  const node = copyNodes(graph.node, scope, context);
  const named = <T extends { readonly name: string | undefined }>(one: T): T => ({
    ...one,
    name: scope.get(one.name ?? ''),
  });
  const kept = <T extends TensorProto | SparseTensorProto>(from: T, to: T): T => {
    const source = context.sources.get(from);
    if (source) context.sources.set(to, source);
    return to;
  };
  return {
    ...graph,
    node,
    input: graph.input.map(named),
    output: graph.output.map(named),
    valueInfo: graph.valueInfo.map(named),
    initializer: graph.initializer.map((tensor) => kept(tensor, named(tensor))),
    sparseInitializer: graph.sparseInitializer.map((sparse) =>
      kept(sparse, { ...sparse, values: sparse.values && named(sparse.values) }),
    ),
    quantizationAnnotation: graph.quantizationAnnotation.map((one) => ({
      ...one,
      tensorName: scope.get(one.tensorName ?? ''),
      quantParameterTensorNames: one.quantParameterTensorNames.map((pair) => ({
        ...pair,
        value: scope.get(pair.value ?? ''),
      })),
    })),
  };
}
