import { LIMITS } from '../../core/limits.js';
import type { MetadataValue } from '../../core/model.js';
import type { StateNode } from '../../core/training.js';
import { MlserError, malformed } from '../../errors.js';

export type ContainerKind = 'list' | 'tuple' | 'set' | 'dict' | 'ordered_dict';

/** A node of a tree in pre-order: flat, because depth is the one thing that protobuf readers limit. */
export type FlatNode =
  | Exclude<StateNode, { kind: 'list' | 'tuple' | 'set' | 'dict' }>
  /** `count`: items that follow, pairs for dicts. */
  | { readonly kind: ContainerKind; readonly count: number };

const overLimit = (name: 'TREE_NODES' | 'TREE_DEPTH', what: string): MlserError =>
  new MlserError('E_LIMIT', `${what} passes the limit ${name} (${LIMITS[name]})`, {
    details: { limit: name, allowed: LIMITS[name], part: what },
    hint: 'keep large or deep data in tensors or files of their own',
  });

/** Adds a node to the list; its children follow. */
class Flattener {
  readonly nodes: FlatNode[] = [];
  readonly #what: string;
  constructor(what: string) {
    this.#what = what;
  }

  push(node: FlatNode, depth: number): void {
    if (depth > LIMITS.TREE_DEPTH) throw overLimit('TREE_DEPTH', this.#what);
    if (this.nodes.length >= LIMITS.TREE_NODES) throw overLimit('TREE_NODES', this.#what);
    this.nodes.push(node);
  }

  state(node: StateNode, depth = 0): void {
    switch (node.kind) {
      case 'list':
      case 'tuple':
      case 'set':
        this.push({ kind: node.kind, count: node.items.length }, depth);
        for (const item of node.items) this.state(item, depth + 1);
        return;
      case 'dict':
        this.push({ kind: node.ordered ? 'ordered_dict' : 'dict', count: node.entries.length }, depth);
        for (const [key, value] of node.entries) {
          this.state(key, depth + 1);
          this.state(value, depth + 1);
        }
        return;
      default:
        this.push(node, depth);
    }
  }

  value(value: MetadataValue, depth = 0): void {
    if (value === null) this.push({ kind: 'none' }, depth);
    else if (typeof value === 'string') this.push({ kind: 'string', value }, depth);
    else if (typeof value === 'number') this.push({ kind: 'float', value }, depth);
    else if (typeof value === 'bigint') this.push({ kind: 'int', value }, depth);
    else if (typeof value === 'boolean') this.push({ kind: 'bool', value }, depth);
    else if (value instanceof Map) this.map(value, depth);
    else {
      const items = value as readonly MetadataValue[];
      this.push({ kind: 'list', count: items.length }, depth);
      for (const item of items) this.value(item, depth + 1);
    }
  }

  map(map: ReadonlyMap<string, MetadataValue>, depth = 0): void {
    this.push({ kind: 'dict', count: map.size }, depth);
    for (const [key, item] of map) {
      this.push({ kind: 'string', value: key }, depth + 1);
      this.value(item, depth + 1);
    }
  }
}

export function flattenState(tree: StateNode): FlatNode[] {
  const flat = new Flattener('the training state');
  flat.state(tree);
  return flat.nodes;
}

export function flattenMap(map: ReadonlyMap<string, MetadataValue>, what: string): FlatNode[] {
  const flat = new Flattener(what);
  flat.map(map);
  return flat.nodes;
}

/** Walks flat nodes. Counts are compared with the nodes that are left before anything is built. */
class Rebuilder {
  readonly #nodes: readonly FlatNode[];
  readonly #what: string;
  #at = 0;

  constructor(nodes: readonly FlatNode[], what: string) {
    this.#nodes = nodes;
    this.#what = what;
  }

  bad(why: string): MlserError {
    return malformed(`${this.#what}: ${why}`, { part: this.#what });
  }

  next(depth: number): FlatNode {
    if (depth > LIMITS.TREE_DEPTH) throw overLimit('TREE_DEPTH', this.#what);
    const node = this.#nodes[this.#at++];
    if (!node) throw this.bad('the tree ends before its last value');
    if ('count' in node) {
      const needed = node.count * (node.kind === 'dict' || node.kind === 'ordered_dict' ? 2 : 1);
      const left = this.#nodes.length - this.#at;
      if (needed > left) throw this.bad(`a ${node.kind} says ${node.count} items, ${left} values are left`);
    }
    return node;
  }

  finish(): void {
    if (this.#at !== this.#nodes.length) throw this.bad('values are left over after the tree');
  }

  state(depth = 0): StateNode {
    const node = this.next(depth);
    if (!('count' in node)) return node;
    if (node.kind === 'dict' || node.kind === 'ordered_dict') {
      const entries: (readonly [StateNode, StateNode])[] = [];
      for (let i = 0; i < node.count; i++) entries.push([this.state(depth + 1), this.state(depth + 1)]);
      return { kind: 'dict', ordered: node.kind === 'ordered_dict', entries };
    }
    const items: StateNode[] = [];
    for (let i = 0; i < node.count; i++) items.push(this.state(depth + 1));
    return { kind: node.kind, items };
  }

  value(depth: number): MetadataValue {
    const node = this.next(depth);
    switch (node.kind) {
      case 'none':
        return null;
      case 'string':
      case 'float':
      case 'int':
      case 'bool':
        return node.value;
      case 'list': {
        const items: MetadataValue[] = [];
        for (let i = 0; i < node.count; i++) items.push(this.value(depth + 1));
        return items;
      }
      case 'dict':
        return this.entries(node.count, depth);
      default:
        throw this.bad(`a ${node.kind} cannot stand here`);
    }
  }

  entries(count: number, depth: number): Map<string, MetadataValue> {
    const map = new Map<string, MetadataValue>();
    for (let i = 0; i < count; i++) {
      const key = this.next(depth + 1);
      if (key.kind !== 'string') throw this.bad(`a key is a ${key.kind}, not text`);
      if (map.has(key.value)) throw this.bad(`the key ${JSON.stringify(key.value)} stands twice`);
      map.set(key.value, this.value(depth + 1));
    }
    return map;
  }
}

export function rebuildState(nodes: readonly FlatNode[]): StateNode {
  const walk = new Rebuilder(nodes, 'the training state');
  const tree = walk.state();
  walk.finish();
  return tree;
}

export function rebuildMap(nodes: readonly FlatNode[], what: string): Map<string, MetadataValue> {
  if (nodes.length === 0) return new Map();
  const walk = new Rebuilder(nodes, what);
  const root = walk.next(0);
  if (root.kind !== 'dict') throw walk.bad('the root is not a dict');
  const map = walk.entries(root.count, 0);
  walk.finish();
  return map;
}
