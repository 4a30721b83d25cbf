import { isDType, tensorBytes } from '../../../core/dtype.js';
import type { NodeProto } from '../../../formats/onnx/schema.js';
import { constantModel } from '../constant-model.js';
import { isDeterministic } from '../deterministic.js';
import { isStatic } from '../facts.js';
import type { GraphPass, PassContext } from '../pass.js';
import type { WorkGraph } from '../work-graph.js';

/** Weights are stored small on purpose: they stay so. */
const STORED_SMALL = new Set([
  'DequantizeLinear',
  'com.microsoft::DequantizeLinear',
  'com.microsoft::MatMulBnb4',
]);

/**
 * What follows from constants alone is computed now, by the runtime that would compute it in every run. Random numbers,
 * dequantized weights and results above the limit stay as they are.
 */
export const foldConstants: GraphPass = {
  name: 'fold-constants',
  summary: 'what follows from constants alone is computed now, by the runtime',
  level: 'basic',
  async apply(graph, context) {
    const chosen = foldable(graph, context.foldLimit);
    if (chosen.length === 0) return 0;
    const all = await fold(graph, chosen, context);
    if (all > 0 || chosen.length === 1) return all;
    // One that the runtime cannot compute must not keep the others.
    let folded = 0;
    for (const node of chosen) if (graph.has(node)) folded += await fold(graph, [node], context);
    return folded;
  },
};

/** Nodes that follow from constants, in order: those whose results others of them take are wanted as well. */
function foldable(graph: WorkGraph, limit: number): readonly NodeProto[] {
  const known = new Set<string>();
  const isKnown = (name: string): boolean =>
    name === '' || known.has(name) || graph.constant(name) !== undefined;
  return graph.nodes.filter((node) => {
    if (!isDeterministic(graph, node) || graph.bodies(node).length > 0) return false;
    if (STORED_SMALL.has(graph.op(node) ?? '') || node.input.length === 0) return false;
    if (!node.input.every(isKnown) || !fits(graph, node, limit)) return false;
    for (const name of node.output) known.add(name);
    return true;
  });
}

/** Results are no larger than the limit, or than what they are made of. */
function fits(graph: WorkGraph, node: NodeProto, limit: number): boolean {
  const taken = node.input.reduce((sum, name) => sum + (graph.constant(name)?.byteLength ?? 0), 0);
  return node.output.every((name) => {
    if (name === '') return true;
    const { dtype, shape } = graph.fact(name);
    if (dtype === undefined || !isDType(dtype) || !isStatic(shape)) return taken <= limit / 16;
    return tensorBytes(dtype, shape, name) <= Math.max(limit, taken);
  });
}

async function fold(
  graph: WorkGraph,
  nodes: readonly NodeProto[],
  { services, foldLimit }: PassContext,
): Promise<number> {
  const inside = new Set(nodes);
  const isTaken = (name: string): boolean =>
    name !== '' && (graph.leaves(name) || graph.takers(name).length > 0);
  const isTakenOutside = (name: string): boolean =>
    isTaken(name) && (graph.leaves(name) || graph.takers(name).some((one) => !inside.has(one)));
  // A node goes as a whole: of one with several results all are wanted that anybody takes, inside too.
  const wanted = nodes.flatMap(({ output }) => (output.some(isTakenOutside) ? output.filter(isTaken) : []));
  if (wanted.length === 0) return 0; // dead code
  const values = await services.evaluate(constantModel(graph, nodes, wanted));
  if (!values) return 0;
  let folded = 0;
  for (const node of nodes) {
    const results = node.output.filter((name) => wanted.includes(name));
    const tensors = results.map((name) => [name, values.get(name)] as const);
    if (
      tensors.some(
        ([, tensor]) => !tensor || tensor.byteLength > Math.max(foldLimit, inputBytes(graph, nodes)),
      )
    )
      continue;
    if (results.some((name) => graph.leaves(name) && graph.outer !== undefined)) continue;
    if (results.length > 0) {
      for (const [name, tensor] of tensors) if (tensor) graph.setTensor(name, tensor);
      graph.remove(node);
      folded++;
    }
  }
  return folded;
}

const inputBytes = (graph: WorkGraph, nodes: readonly NodeProto[]): number =>
  nodes.flatMap(({ input }) => input).reduce((sum, name) => sum + (graph.constant(name)?.byteLength ?? 0), 0);
