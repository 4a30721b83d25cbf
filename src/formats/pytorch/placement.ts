import type { TensorSource } from '../../core/tensor.js';
import type { StateNode } from '../../core/training.js';
import { keyName } from './repr.js';
import { PyComplex, PyNamed, PyTuple, type PyValue } from './values.js';

/**
 * The tree to write: one whose flattened names are exactly the names of `tensors`. References that are gone are
 * taken out; tensors whose place in the tree has another name than they do (renamed, or not from the tree at all)
 * are put at the top under their name. Without a tree, or where it has no room at the top, the result is flat.
 */
export function placeTensors(tree: StateNode | undefined, tensors: readonly TensorSource[]): StateNode {
  const wanted = new Set(tensors.map((tensor) => tensor.info.name));
  const placed = new Set<string>();
  const kept = tree && prune(tree, undefined, wanted, placed);
  const left = tensors.filter(({ info }) => !placed.has(info.name));
  const flat = left.map(({ info }): readonly [StateNode, StateNode] => [
    { kind: 'string', value: info.name },
    { kind: 'tensor', name: info.name },
  ]);
  if (kept && left.length === 0) return kept;
  if (kept?.kind === 'dict' && !flat.some(([key]) => hasKey(kept.entries, key)))
    return { ...kept, entries: [...flat, ...kept.entries] };
  if (!kept || placed.size === 0) return { kind: 'dict', ordered: true, entries: flat };
  return placeTensors(undefined, tensors);
}

const hasKey = (entries: readonly (readonly [StateNode, StateNode])[], key: StateNode): boolean =>
  entries.some(([other]) => other.kind === 'string' && key.kind === 'string' && other.value === key.value);

/** The node without references that do not lie where their name says; undefined if nothing is left of it. */
function prune(
  node: StateNode,
  path: string | undefined,
  wanted: ReadonlySet<string>,
  placed: Set<string>,
): StateNode | undefined {
  const at = (part: string): string => (path === undefined ? part : `${path}.${part}`);
  switch (node.kind) {
    case 'tensor':
      if (node.name !== (path ?? '') || !wanted.has(node.name)) return undefined;
      placed.add(node.name);
      return node;
    case 'list':
    case 'tuple':
    case 'set': {
      // An item that goes leaves a None behind: the others keep their positions, which are their names.
      const items = node.items.map((item, i) => prune(item, at(String(i)), wanted, placed) ?? none);
      return { ...node, items };
    }
    case 'dict': {
      const entries = node.entries.flatMap(([key, value]): (readonly [StateNode, StateNode])[] => {
        const kept = prune(value, at(nodeKeyName(key)), wanted, placed);
        return kept ? [[key, kept]] : [];
      });
      return { ...node, entries };
    }
    default:
      return node;
  }
}

const none: StateNode = { kind: 'none' };

/** The part of a dotted name that a dictionary key is, as the reader makes it. */
const nodeKeyName = (key: StateNode): string => keyName(keyValue(key));

function keyValue(node: StateNode): PyValue {
  switch (node.kind) {
    case 'none':
      return null;
    case 'bool':
    case 'int':
    case 'float':
    case 'string':
    case 'bytes':
      return node.value;
    case 'complex':
      return new PyComplex(node.re, node.im);
    case 'tuple':
      return new PyTuple(node.items.map(keyValue));
    case 'opaque':
      return new PyNamed(node.type, node.text);
    default:
      return new PyNamed(node.kind, `<${node.kind}>`);
  }
}
