import type { GraphPass } from '../pass.js';
import type { WorkGraph } from '../work-graph.js';

/** Nodes whose results nothing takes, and initializers that nothing takes. */
export const deadCode: GraphPass = {
  name: 'dead-code',
  summary: 'nodes and initializers that nothing takes go',
  level: 'basic',
  apply(graph) {
    let removed = 0;
    for (const node of [...graph.nodes].reverse()) {
      if (node.output.some((name) => name !== '' && graph.isTaken(name))) continue;
      if (node.output.length === 0) continue;
      graph.remove(node);
      removed++;
    }
    return removed + deadTensors(graph);
  },
};

function deadTensors(graph: WorkGraph): number {
  let removed = 0;
  for (const name of [...graph.tensors.keys()]) {
    // The default of an input goes with the input: that is the caller's to decide.
    if (graph.isInput(name) || graph.isTaken(name)) continue;
    graph.dropTensor(name);
    removed++;
  }
  return removed;
}
