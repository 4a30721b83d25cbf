import type { NodeProto } from '../../../formats/onnx/schema.js';
import { inputOf, outputOf } from '../../opset/attributes.js';
import { fuse, nodesOf, opsetOf } from '../fuse.js';
import type { GraphPass } from '../pass.js';
import type { WorkGraph } from '../work-graph.js';

/** Operator set from which Gemm broadcasts its bias by itself. */
const SINCE = 7;

/**
 * A product of two matrices and a bias along its columns. onnxruntime does the same when it loads: measured with 1.30 (cpu, one
 * thread) nothing changes, from 1 × 8 × 8 (0.0081 ms) to 128 × 768 × 768 (1.17 ms). Products of more axes stay: Gemm has none.
 */
export const fuseMatMulAddGemm: GraphPass = {
  name: 'fuse-matmul-add-gemm',
  summary: 'MatMul of two matrices and Add of a constant bias become Gemm',
  level: 'extended',
  apply(graph) {
    if (opsetOf(graph) < SINCE) return 0;
    let fused = 0;
    for (const node of nodesOf(graph, 'MatMul')) if (withBias(graph, node)) fused++;
    return fused;
  },
};

function withBias(graph: WorkGraph, node: NodeProto): boolean {
  const product = outputOf(node, 0);
  const add = graph.soleTaker(product);
  if (!add || graph.op(add) !== 'Add') return false;
  const bias = inputOf(add, inputOf(add, 0) === product ? 1 : 0);
  const [a, b] = [graph.fact(inputOf(node, 0)), graph.fact(inputOf(node, 1))];
  if (a.dtype !== 'f32' || a.shape?.length !== 2 || b.shape?.length !== 2) return false;
  const columns = b.shape[1];
  const shape = graph.constant(bias)?.info.shape;
  if (bias === undefined || shape?.length !== 1 || shape[0] !== columns) return false;
  return fuse(graph, [node], add, { op: 'Gemm', inputs: [...node.input, bias] });
}
