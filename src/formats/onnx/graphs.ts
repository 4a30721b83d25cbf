import type { GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto } from './schema.js';

/** A graph of a model and the prefix of its tensors' names. */
export interface GraphPlace {
  readonly graph: GraphProto;
  /** '' for the main graph, `<node>/` for a sub-graph, `<function>/<node>/` in a function. */
  readonly prefix: string;
  readonly main: boolean;
}

/** Sub-graphs of nodes (If, Loop, Scan, …), depth first in node order. */
export function* subgraphs(nodes: readonly NodeProto[], prefix: string): Generator<GraphPlace> {
  for (const [index, node] of nodes.entries())
    for (const attribute of node.attribute) {
      if (!attribute.g && attribute.graphs.length === 0) continue;
      const inner = `${prefix}${node.name || `${node.opType ?? 'node'}_${index}`}/`;
      for (const graph of attribute.g ? [attribute.g, ...attribute.graphs] : attribute.graphs) {
        yield { graph, prefix: inner, main: false };
        yield* subgraphs(graph.node, inner);
      }
    }
}

/** The graphs whose initializers are the model's tensors: main graph, its sub-graphs, those inside functions. */
export function* graphsOf(model: ModelProto): Generator<GraphPlace> {
  if (model.graph) {
    yield { graph: model.graph, prefix: '', main: true };
    yield* subgraphs(model.graph.node, '');
  }
  for (const f of model.functions) yield* subgraphs(f.node, `${f.domain ?? ''}.${f.name ?? ''}/`);
}

/** Every initializer with its name among the model's tensors. */
export type Initializer =
  | { readonly name: string; readonly main: boolean; readonly tensor: TensorProto }
  | { readonly name: string; readonly main: boolean; readonly sparse: SparseTensorProto };

/**
 * Initializers in file order. Those of sub-graphs are named `<node>/<name>`; a name that is taken (two branches of
 * one If) gets `#2`, `#3`, …. The same model gives the same names every time: the writer finds its tensors by them.
 */
export function* initializersOf(model: ModelProto): Generator<Initializer> {
  const taken = new Set<string>();
  const counts = new Map<string, number>();
  const unique = (wanted: string): string => {
    let name = wanted;
    while (taken.has(name)) {
      const count = (counts.get(wanted) ?? 1) + 1;
      counts.set(wanted, count);
      name = `${wanted}#${count}`;
    }
    taken.add(name);
    return name;
  };
  for (const { graph, prefix, main } of graphsOf(model)) {
    for (const tensor of graph.initializer)
      yield { name: unique(`${prefix}${tensor.name ?? ''}`), main, tensor };
    for (const sparse of graph.sparseInitializer)
      yield { name: unique(`${prefix}${sparse.values?.name ?? ''}`), main, sparse };
  }
}

/** Tensors that are not initializers: attributes of nodes (Constant, …), sparse ones as their parts. */
export function* attributeTensors(
  nodes: readonly NodeProto[],
  prefix: string,
): Generator<readonly [string, TensorProto]> {
  for (const [index, node] of nodes.entries())
    for (const attribute of node.attribute) {
      const label = (): string =>
        `${prefix}${node.name || `${node.opType ?? 'node'}_${index}`}:${attribute.name ?? ''}`;
      if (attribute.t) yield [label(), attribute.t];
      for (const tensor of attribute.tensors) yield [label(), tensor];
    }
}
