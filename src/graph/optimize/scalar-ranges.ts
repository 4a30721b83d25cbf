import { elementCount } from '../../core/dtype.js';
import type { NodeProto } from '../../formats/onnx/schema.js';
import type { WorkGraph } from './work-graph.js';

/**
 * Range takes scalars (onnx/docs/Operators.md), and the runtime takes one element in any shape until it learns the shape
 * before it runs, as it may once passes have made constants or decided an If: then it refuses the graph. Constants lose
 * their dimensions, other values are squeezed.
 */
export function scalarRanges(graph: WorkGraph): void {
  for (const node of graph.nodes) {
    if (graph.op(node) !== 'Range') continue;
    const squeezes: NodeProto[] = [];
    const input = node.input.map((name) => {
      const tensor = graph.constant(name);
      if (tensor) {
        if (tensor.info.shape.length === 0 || elementCount(tensor.info.shape, name) !== 1) return name;
        return graph.addTensor(`${name}_scalar`, { ...tensor, info: { ...tensor.info, shape: [] } });
      }
      const { dtype, shape } = graph.fact(name);
      if (shape ? shape.length === 0 : !graph.maker(name, 'If')) return name;
      const scalar = graph.fresh(`${name}_scalar`);
      graph.learn(scalar, { dtype, shape: [] });
      squeezes.push(graph.make({ op: 'Squeeze', inputs: [name], outputs: [scalar] }));
      return scalar;
    });
    if (input.some((name, i) => name !== node.input[i])) graph.replace(node, ...squeezes, { ...node, input });
  }
}
