import type { Model } from '../core/model.js';
import type { NodeProto } from '../formats/onnx/schema.js';
import { protoOf } from '../formats/onnx/summary.js';
import { takenBy } from './captures.js';

/** A value that a node of the main graph makes. */
export interface MadeValue {
  readonly name: string;
  readonly node: NodeProto;
  /** Which of the node's outputs it is. */
  readonly output: number;
  /** What the node is called in reports: its name, else operator and position. */
  readonly label: string;
  readonly op: string;
}

/** Nodes of the main graph, every one behind those whose values it takes; else in the order of the file. */
export function sortedNodes(model: Model): readonly NodeProto[] {
  const nodes = (model.graph && protoOf(model.graph).graph?.node) ?? [];
  const makers = new Map<string, NodeProto>();
  for (const node of nodes) for (const name of node.output) if (name !== '') makers.set(name, node);
  const placed = new Set<NodeProto>();
  const ordered: NodeProto[] = [];
  for (const root of nodes) {
    const path = [root];
    for (let node = path.at(-1); node; node = path.at(-1)) {
      // The reader refuses cycles: what is not placed yet is further up.
      const before = placed.has(node) ? undefined : firstMissing(node, makers, placed);
      if (before) {
        path.push(before);
        continue;
      }
      path.pop();
      if (placed.has(node)) continue;
      placed.add(node);
      ordered.push(node);
    }
  }
  return ordered;
}

function firstMissing(
  node: NodeProto,
  makers: ReadonlyMap<string, NodeProto>,
  placed: ReadonlySet<NodeProto>,
): NodeProto | undefined {
  for (const name of takenBy(node)) {
    const maker = makers.get(name);
    if (maker && !placed.has(maker)) return maker;
  }
  return undefined;
}

/** Values of the main graph in an order in which they can be computed. */
export function madeValues(model: Model): readonly MadeValue[] {
  const nodes = (model.graph && protoOf(model.graph).graph?.node) ?? [];
  const places = new Map(nodes.map((node, i) => [node, i]));
  return sortedNodes(model).flatMap((node) => {
    const op = node.domain ? `${node.domain}::${node.opType ?? ''}` : (node.opType ?? '');
    const label = node.name || `${node.opType ?? 'node'}_${places.get(node) ?? 0}`;
    return node.output.flatMap((name, output) => (name === '' ? [] : [{ name, node, output, label, op }]));
  });
}
