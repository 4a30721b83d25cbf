import type { GraphProto, ModelProto, NodeProto } from '../../formats/onnx/schema.js';

/** Names anywhere in a model. */
export interface NameUse {
  /** Of values and of nodes: new ones must meet none of them. */
  readonly taken: ReadonlySet<string>;
  /** Of values that something takes. */
  readonly used: ReadonlySet<string>;
}

/** Looks through all graphs and functions; nothing is told apart by graph, which errs on the safe side. */
export function namesOf(model: ModelProto): NameUse {
  const taken = new Set<string>();
  const used = new Set<string>();
  const use = (name: string | undefined): void => {
    if (!name) return;
    taken.add(name);
    used.add(name);
  };
  const nodes = (list: readonly NodeProto[]): void => {
    for (const node of list) {
      if (node.name) taken.add(node.name);
      for (const name of node.input) use(name);
      for (const name of node.output) taken.add(name);
      for (const { g, graphs } of node.attribute)
        for (const inner of g ? [g, ...graphs] : graphs) graph(inner);
    }
  };
  const graph = (one: GraphProto): void => {
    for (const { name } of one.output) use(name);
    for (const { name } of one.input) taken.add(name ?? '');
    for (const { name } of one.initializer) taken.add(name ?? '');
    for (const { values } of one.sparseInitializer) taken.add(values?.name ?? '');
    for (const { tensorName, quantParameterTensorNames } of one.quantizationAnnotation) {
      use(tensorName);
      for (const { value } of quantParameterTensorNames) use(value);
    }
    nodes(one.node);
  };
  if (model.graph) graph(model.graph);
  for (const body of model.functions) {
    for (const name of body.input) taken.add(name);
    for (const name of body.output) use(name);
    nodes(body.node);
  }
  return { taken, used };
}
