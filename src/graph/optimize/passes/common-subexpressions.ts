import { encodeToBytes } from '../../../formats/onnx/encode.js';
import type { NodeProto } from '../../../formats/onnx/schema.js';
import { outputOf } from '../../opset/attributes.js';
import { isDeterministic } from '../deterministic.js';
import type { GraphPass } from '../pass.js';
import type { WorkGraph } from '../work-graph.js';

/** Two nodes that do the same to the same values: the later one goes, and its values are those of the earlier one. */
export const commonSubexpressions: GraphPass = {
  name: 'common-subexpressions',
  summary: 'what is computed twice from the same values is computed once',
  level: 'basic',
  async apply(graph) {
    const known = new Map<string, NodeProto>();
    let removed = 0;
    for (const original of graph.nodes) {
      // Earlier replacements may have renamed its inputs.
      const node = graph.has(original) ? original : graph.maker(original.output.find((name) => name !== ''));
      if (!node || !isDeterministic(graph, node) || graph.bodies(node).length > 0) continue;
      const key = await keyOf(graph, node);
      const earlier = known.get(key);
      const same = earlier && current(graph, earlier);
      if (same && merge(graph, node, same)) removed++;
      else known.set(key, node);
    }
    return removed;
  },
};

const current = (graph: WorkGraph, node: NodeProto): NodeProto | undefined =>
  graph.has(node) ? node : graph.maker(node.output.find((name) => name !== ''));

/** Everything that decides about the values: operator, inputs, attributes in order of their names. */
async function keyOf(graph: WorkGraph, node: NodeProto): Promise<string> {
  const attribute = [...node.attribute].sort((a, b) => ((a.name ?? '') < (b.name ?? '') ? -1 : 1));
  const bare = { ...node, name: undefined, docString: undefined, output: [], attribute, metadataProps: [] };
  const bytes = await encodeToBytes('NodeProto', bare);
  return `${graph.op(node) ?? ''}\n${node.output.map((name) => (name === '' ? '-' : '+')).join('')}\n${Buffer.from(bytes).toString('base64')}`;
}

/** False where the later values must keep their names. */
function merge(graph: WorkGraph, later: NodeProto, earlier: NodeProto): boolean {
  if (later.output.some((name) => name !== '' && graph.leaves(name))) return false;
  for (const [i, name] of later.output.entries()) {
    const to = outputOf(earlier, i);
    if (name === '') continue;
    if (to === undefined) return false;
    graph.replaceUses(name, to);
  }
  const now = graph.maker(later.output.find((name) => name !== ''));
  if (now) graph.remove(now);
  return true;
}
