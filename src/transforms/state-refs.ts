import type { StateNode } from '../core/training.js';

type TensorRef = Extract<StateNode, { kind: 'tensor' }>;

/** A copy of the tree with every tensor reference replaced. */
export function mapTensorRefs(node: StateNode, map: (ref: TensorRef) => StateNode): StateNode {
  switch (node.kind) {
    case 'tensor':
      return map(node);
    case 'list':
    case 'tuple':
    case 'set':
      return { ...node, items: node.items.map((item) => mapTensorRefs(item, map)) };
    case 'dict':
      return { ...node, entries: node.entries.map(([key, value]) => [key, mapTensorRefs(value, map)]) };
    default:
      return node;
  }
}
