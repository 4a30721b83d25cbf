import type { NodeProto } from '../../formats/onnx/schema.js';

interface Entry {
  readonly node: NodeProto;
  /** Values of the graph that the sub-graphs of the node take. */
  readonly captured: ReadonlySet<string>;
  previous?: Entry | undefined;
  next?: Entry | undefined;
}

/**
 * Nodes in the order of computation, with who makes and who takes each value, kept while nodes come and go: a pass
 * may rewrite ten thousand nodes one by one. What sub-graphs take counts as taken by their node.
 */
export class NodeList {
  readonly #entries = new Map<NodeProto, Entry>();
  readonly #makers = new Map<string, NodeProto>();
  readonly #takers = new Map<string, Set<NodeProto>>();
  readonly #captures: (node: NodeProto) => ReadonlySet<string>;
  #first: Entry | undefined;
  #last: Entry | undefined;

  constructor(nodes: readonly NodeProto[], captures: (node: NodeProto) => ReadonlySet<string>) {
    this.#captures = captures;
    for (const node of nodes) this.#put(node, this.#last);
  }

  get size(): number {
    return this.#entries.size;
  }

  has(node: NodeProto): boolean {
    return this.#entries.has(node);
  }

  /** A list of its own: nodes may be changed while it is gone through. */
  toArray(): NodeProto[] {
    const nodes: NodeProto[] = [];
    for (let entry = this.#first; entry; entry = entry.next) nodes.push(entry.node);
    return nodes;
  }

  maker(name: string): NodeProto | undefined {
    return this.#makers.get(name);
  }

  /** Nodes that take a value, or whose sub-graphs do. */
  takers(name: string): readonly NodeProto[] {
    return [...(this.#takers.get(name) ?? [])];
  }

  isTaken(name: string): boolean {
    return (this.#takers.get(name)?.size ?? 0) > 0;
  }

  /** True if a sub-graph of the node takes the value. */
  captures(node: NodeProto, name: string): boolean {
    return this.#entries.get(node)?.captured.has(name) ?? false;
  }

  /** Puts nodes in the place of one. */
  replace(node: NodeProto, others: readonly NodeProto[]): void {
    const entry = this.#known(node);
    let after = entry.previous;
    this.#take(entry);
    for (const other of others) after = this.#put(other, after);
  }

  insertBefore(node: NodeProto, others: readonly NodeProto[]): void {
    let after = this.#known(node).previous;
    for (const other of others) after = this.#put(other, after);
  }

  prepend(others: readonly NodeProto[]): void {
    let after: Entry | undefined;
    for (const other of others) after = this.#put(other, after);
  }

  #known(node: NodeProto): Entry {
    const entry = this.#entries.get(node);
    if (!entry) throw new Error(`the node ${node.name ?? node.opType ?? ''} is not in the graph any more`);
    return entry;
  }

  #put(node: NodeProto, previous: Entry | undefined): Entry {
    const captured = this.#captures(node);
    const entry: Entry = { node, captured, previous, next: previous ? previous.next : this.#first };
    if (previous) previous.next = entry;
    else this.#first = entry;
    if (entry.next) entry.next.previous = entry;
    else this.#last = entry;
    this.#entries.set(node, entry);
    for (const name of node.output) if (name !== '') this.#makers.set(name, node);
    for (const name of new Set([...node.input, ...captured])) {
      const takers = this.#takers.get(name);
      if (takers) takers.add(node);
      else this.#takers.set(name, new Set([node]));
    }
    return entry;
  }

  #take(entry: Entry): void {
    const { node, previous, next, captured } = entry;
    if (previous) previous.next = next;
    else this.#first = next;
    if (next) next.previous = previous;
    else this.#last = previous;
    this.#entries.delete(node);
    for (const name of node.output) if (this.#makers.get(name) === node) this.#makers.delete(name);
    for (const name of new Set([...node.input, ...captured])) this.#takers.get(name)?.delete(node);
  }
}
