import type { NodeProto } from '../../formats/onnx/schema.js';

/**
 * Nodes in an order of computation; those that are in order stay where they are. `captured` names what the sub-graphs of a
 * node take. Nodes that wait for each other come last, as they were: the runtime refuses such a graph.
 */
export function sortedNodes(
  nodes: readonly NodeProto[],
  captured: (node: NodeProto) => ReadonlySet<string>,
): readonly NodeProto[] {
  const makers = new Map<string, NodeProto>();
  for (const node of nodes) for (const name of node.output) if (name !== '') makers.set(name, node);
  const takers = new Map<NodeProto, NodeProto[]>();
  const missing = new Map<NodeProto, number>();
  for (const node of nodes) {
    const needs = new Set([...node.input, ...captured(node)].flatMap((name) => makers.get(name) ?? []));
    needs.delete(node);
    missing.set(node, needs.size);
    for (const maker of needs) {
      const list = takers.get(maker);
      if (list) list.push(node);
      else takers.set(maker, [node]);
    }
  }
  const ordered: NodeProto[] = [];
  const placed = new Set<NodeProto>();
  const place = (first: NodeProto): void => {
    const ready = [first];
    for (let node = ready.pop(); node; node = ready.pop()) {
      ordered.push(node);
      placed.add(node);
      for (const taker of takers.get(node) ?? []) {
        const left = (missing.get(taker) ?? 0) - 1;
        missing.set(taker, left);
        // One that stood before what it needs follows at once; the others wait for their place.
        if (left === 0 && passed.has(taker)) ready.push(taker);
      }
    }
  };
  const passed = new Set<NodeProto>();
  for (const node of nodes) {
    passed.add(node);
    if (missing.get(node) === 0) place(node);
  }
  return [...ordered, ...nodes.filter((node) => !placed.has(node))];
}
