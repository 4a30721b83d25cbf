import type { TensorEntry } from '../../operations/reports.js';

/** Tensors whose names share a beginning; repeated layers (`h.0`, `h.1`, …) count as one group. */
export interface LayerGroup {
  /** Segments joined with `.`, `*` where numbers were merged. */
  readonly label: string;
  /** How many numbers the last `*` stands for; 1 if there is none. */
  readonly repeats: number;
  readonly tensors: number;
  readonly parameters: number;
  readonly bytes: number;
}

interface Node {
  readonly label: string;
  readonly numbers: Set<string>;
  readonly children: Map<string, Node>;
  tensors: number;
  parameters: number;
  bytes: number;
}

/** Names are looked at to this depth only. */
const DEPTH = 8;

const node = (label: string): Node => ({
  label,
  numbers: new Set(),
  children: new Map(),
  tensors: 0,
  parameters: 0,
  bytes: 0,
});

/** The groups that tell most about a model in at most `limit` lines, in file order. Tied tensors count once. */
export function layerGroups(tensors: readonly TensorEntry[], limit = 10): LayerGroup[] {
  const root = node('');
  for (const tensor of tensors) if (tensor.aliasOf === undefined) add(root, tensor);
  let groups = [...root.children.values()];
  while (groups.length < limit) {
    const open = groups.filter((group) => group.children.size > 0 && canOpen(group, groups.length, limit));
    const widest = open.sort((a, b) => b.bytes - a.bytes)[0];
    if (!widest) break;
    groups = groups.flatMap((group) => (group === widest ? [...group.children.values()] : [group]));
  }
  return groups.map(({ label, numbers, tensors: n, parameters, bytes }) => ({
    label,
    repeats: Math.max(1, numbers.size),
    tensors: n,
    parameters,
    bytes,
  }));
}

/**
 * Opening a group must leave room, and must not tear repeated layers, or the weight and bias of one layer, apart
 * (unless it is all there is).
 */
const canOpen = (group: Node, shown: number, limit: number): boolean =>
  group.numbers.size < 2 &&
  shown - 1 + group.children.size <= limit &&
  (shown === 1 || [...group.children.values()].some((child) => child.children.size > 0));

/** Of digits only. */
function isNumber(segment: string): boolean {
  for (let i = 0; i < segment.length; i++) {
    const code = segment.charCodeAt(i);
    if (code < 0x30 || code > 0x39) return false;
  }
  return segment !== '';
}

function add(root: Node, tensor: TensorEntry): void {
  const parameters = tensor.shape.reduce((product, dim) => product * dim, 1);
  let at = root;
  for (const segment of tensor.name.split(/[./]/, DEPTH)) {
    const number = isNumber(segment);
    const key = number ? '*' : segment;
    let next = at.children.get(key);
    if (!next) {
      next = node(at === root ? key : `${at.label}.${key}`);
      at.children.set(key, next);
    }
    if (number) next.numbers.add(segment);
    next.tensors++;
    next.parameters += parameters;
    next.bytes += tensor.bytes;
    at = next;
  }
}
