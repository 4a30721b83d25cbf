import type { NodeProto } from '../../../formats/onnx/schema.js';
import { inputOf, numberOf, outputOf } from '../../opset/attributes.js';
import type { GraphPass } from '../pass.js';
import type { WorkGraph } from '../work-graph.js';

/**
 * Nodes that hand their input on: Identity, Dropout that does not train, Cast to the type that a value has,
 * Concat, Sum, Mean, Max and Min of one value.
 */
export const identity: GraphPass = {
  name: 'identity',
  summary: 'nodes that hand their input on as it is go (Identity, Dropout, Cast to the same type, …)',
  level: 'basic',
  async apply(graph) {
    let removed = 0;
    for (const node of graph.nodes) {
      if (!graph.has(node) || !(await handsOn(graph, node))) continue;
      const [from, to] = [outputOf(node, 0), inputOf(node, 0)];
      if (from === undefined || to === undefined) continue;
      if (node.output.slice(1).some((name) => name !== '' && graph.isTaken(name))) continue;
      if (graph.bypass(node, from, to)) removed++;
    }
    return removed;
  },
};

async function handsOn(graph: WorkGraph, node: NodeProto): Promise<boolean> {
  switch (graph.op(node)) {
    case 'Identity':
      return true;
    case 'Concat':
    case 'Sum':
    case 'Mean':
    case 'Max':
    case 'Min':
      return node.input.length === 1;
    case 'Cast': {
      const [from, to] = [graph.fact(inputOf(node, 0)).dtype, graph.fact(outputOf(node, 0)).dtype];
      return from !== undefined && from === to;
    }
    case 'CastLike': {
      const [from, to] = [graph.fact(inputOf(node, 0)).dtype, graph.fact(inputOf(node, 1)).dtype];
      return from !== undefined && from === to;
    }
    case 'Dropout': {
      const mode = inputOf(node, 2);
      if (mode === undefined) return numberOf(node, 'is_test') !== 0;
      return (await graph.value(mode))?.numbers[0] === 0;
    }
    default:
      return false;
  }
}
