import type { NodeProto } from '../../../formats/onnx/schema.js';
import { inputOf, intsOf, numberOf, outputOf, withAttributes, withInputs } from '../../opset/attributes.js';
import { fuse, nodesOf, opsetOf } from '../fuse.js';
import type { GraphPass } from '../pass.js';
import type { WorkGraph } from '../work-graph.js';

/** Operator set from which Gemm needs no bias. */
const WITHOUT_BIAS = 11;
const SIDES = ['transA', 'transB'] as const;

/**
 * Gemm reads a matrix either way round, so that nothing need turn it before. Measured with onnxruntime 1.30 (cpu, one thread): it
 * merges the two as well; 1 × 8 × 8 with MatMul 0.0101 → 0.0100 ms, 128 × 768 × 768 1.34 → 1.34.
 */
export const fuseTransposeGemm: GraphPass = {
  name: 'fuse-transpose-gemm',
  summary: 'Transpose of a matrix in front of Gemm or MatMul becomes transA or transB of Gemm',
  level: 'extended',
  apply(graph) {
    if (opsetOf(graph) < WITHOUT_BIAS) return 0;
    let fused = 0;
    for (const first of nodesOf(graph, 'Gemm', 'MatMul'))
      for (const side of [0, 1] as const) {
        const node = graph.has(first) ? first : graph.maker(outputOf(first, 0));
        if (node && turned(graph, node, side)) fused++;
      }
    return fused;
  },
};

function turned(graph: WorkGraph, node: NodeProto, side: 0 | 1): boolean {
  const transpose = graph.maker(inputOf(node, side), 'Transpose');
  const other = graph.fact(inputOf(node, 1 - side));
  const from = transpose && inputOf(transpose, 0);
  if (!transpose || from === undefined || graph.fact(from).shape?.length !== 2) return false;
  if (graph.soleTaker(outputOf(transpose, 0)) !== node || intsOf(transpose, 'perm')?.[0] === 0n) return false;
  const inputs = node.input.map((name, i) => (i === side ? from : name));
  if (graph.op(node) === 'MatMul') {
    if (other.shape?.length !== 2 || graph.fact(from).dtype !== 'f32') return false;
    return fuse(graph, [transpose], node, { op: 'Gemm', inputs, attributes: { [SIDES[side]]: 1n } });
  }
  const flipped = numberOf(node, SIDES[side]) === 1 ? 0n : 1n;
  graph.replace(node, withInputs(withAttributes(node, { [SIDES[side]]: flipped }), inputs));
  graph.remove(transpose);
  return true;
}
