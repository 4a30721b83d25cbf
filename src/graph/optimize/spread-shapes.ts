import { inferredShapes } from '../opset/infer-shape.js';
import type { WorkGraph } from './work-graph.js';

/**
 * What follows from shapes that are known by now, node by node: the runtime gives up behind a Reshape whose sizes are computed
 * (every attention that was exported with open sizes), we still know how many axes there are, and what a matrix makes of the last.
 */
export function spreadShapes(graph: WorkGraph): void {
  const shape = (name: string | undefined) =>
    graph.fact(name).shape?.map((dim) => (typeof dim === 'number' ? dim : undefined));
  for (const node of graph.nodes) {
    if (graph.op(node)?.includes('::') !== false) continue;
    for (const [name, found] of inferredShapes(node, { shape })) {
      const known = shape(name);
      if (!known || known.length === found.length) graph.learn(name, { shape: found });
    }
  }
}
