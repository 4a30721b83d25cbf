import type { NodeProto } from '../../formats/onnx/schema.js';
import type { NodeDescription } from '../build.js';
import { outputOf } from '../opset/attributes.js';
import type { WorkGraph } from './work-graph.js';

/**
 * Puts one node in the place of several: `last` makes the value that keeps its name, what `inner` make is wanted by
 * nothing else. Where something else wants it nothing changes, and the answer is false.
 */
export function fuse(
  graph: WorkGraph,
  inner: readonly NodeProto[],
  last: NodeProto,
  fused: Omit<NodeDescription, 'outputs'> & { readonly outputs?: readonly string[] },
): boolean {
  const output = outputOf(last, 0);
  if (output === undefined || !isClosed(graph, inner, last)) return false;
  // Operators that only onnxruntime has: their domain is one of the model's from now on.
  const { domain = '' } = fused;
  if (!graph.shop.opsets.has(domain)) graph.shop.opsets.set(domain, 1);
  graph.replace(last, graph.make({ outputs: [output], ...fused }, last));
  for (const node of new Set(inner)) if (node !== last) graph.remove(node);
  return true;
}

/** True if only `last`, and those nodes themselves, want what the nodes make. */
export function isClosed(graph: WorkGraph, inner: readonly NodeProto[], last: NodeProto): boolean {
  const whole = new Set([...inner, last]);
  if (![...whole].every((node) => graph.has(node))) return false;
  return inner.every(
    (node) =>
      node === last ||
      node.output.every(
        (name) => name === '' || (!graph.leaves(name) && graph.takers(name).every((one) => whole.has(one))),
      ),
  );
}

/** Where operators are that only onnxruntime has. */
export const RUNTIME_DOMAIN = 'com.microsoft';

/** Version of the standard operators. */
export const opsetOf = (graph: WorkGraph): number => graph.shop.opsets.get('') ?? 0;

/** The nodes of some operators; those that earlier rewrites of the same pass took out are left out when their turn comes. */
export function* nodesOf(graph: WorkGraph, ...ops: readonly string[]): Generator<NodeProto> {
  for (const node of graph.nodes) {
    const now = graph.has(node) ? node : graph.maker(outputOf(node, 0));
    if (now && ops.includes(graph.op(now) ?? '')) yield now;
  }
}
