import type { GraphProto, NodeProto } from '../formats/onnx/schema.js';

/** Graphs that the attributes of a node hold (If, Loop, Scan, …). */
export const innerGraphs = ({ attribute }: NodeProto): readonly GraphProto[] =>
  attribute.flatMap(({ g, graphs }) => (g ? [g, ...graphs] : graphs));

/** Values of the graph around it that a node takes: its inputs, and what its sub-graphs take from outside. */
export function takenBy(node: NodeProto): ReadonlySet<string> {
  const names = new Set(node.input.filter((name) => name !== ''));
  for (const graph of innerGraphs(node)) for (const name of capturedBy(graph)) names.add(name);
  return names;
}

/** Names that a sub-graph uses and does not define: values of the graphs around it. An output may be one, too. */
export function capturedBy(graph: GraphProto): ReadonlySet<string> {
  const own = new Set<string | undefined>([
    ...graph.input.map(({ name }) => name),
    ...graph.initializer.map(({ name }) => name),
    ...graph.sparseInitializer.map(({ values }) => values?.name),
    ...graph.node.flatMap(({ output }) => output),
  ]);
  const captured = new Set<string>();
  const use = (name: string | undefined): void => {
    if (name && !own.has(name)) captured.add(name);
  };
  for (const node of graph.node) for (const name of takenBy(node)) use(name);
  for (const { name } of graph.output) use(name);
  return captured;
}
