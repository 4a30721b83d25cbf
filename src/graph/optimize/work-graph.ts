import type { DType } from '../../core/dtype.js';
import { memoryTensor, renamed, type TensorSource } from '../../core/tensor.js';
import { domainOf } from '../../formats/onnx/check-node.js';
import type { GraphProto, NodeProto, ValueInfoProto } from '../../formats/onnx/schema.js';
import { valueInfo } from '../../formats/onnx/summary.js';
import { type NodeDescription, nodeProto } from '../build.js';
import type { ConstantNumbers } from '../opset/adapter.js';
import { type Constant, constantBytes, readConstant } from '../opset/constant-value.js';
import { constantOf } from './constant-node.js';
import { type Fact, factOf, joined } from './facts.js';
import { Initializers } from './initializers.js';
import { NodeList } from './node-list.js';
import { sortedNodes } from './sorted.js';
import { describedValues } from './value-infos.js';
import type { Workshop } from './workshop.js';

/**
 * A graph while passes rewrite it: the main graph, or a sub-graph that sees the graphs around it. Constant nodes have
 * become initializers. Nodes are never changed in place: a pass puts another one there, so a node that is held on to may
 * be gone (`has`). Nothing is changed in the model that was opened.
 */
export class WorkGraph {
  readonly outer: WorkGraph | undefined;
  readonly shop: Workshop;
  readonly #proto: GraphProto;
  readonly #tensors: Initializers;
  readonly #inputs: readonly ValueInfoProto[];
  readonly #inputNames: ReadonlySet<string>;
  readonly #facts = new Map<string, Fact>();
  readonly #bodies = new Map<GraphProto, WorkGraph>();
  readonly #pinned: ReadonlySet<string>;
  #outputs: readonly ValueInfoProto[];
  #nodes = new NodeList([], () => new Set());
  readonly #wishes = new Set<'value_info'>();
  /** Values whose type and shape the graph tells. */
  readonly #described: Set<string>;

  private constructor(proto: GraphProto, shop: Workshop, outer: WorkGraph | undefined) {
    this.#proto = proto;
    this.shop = shop;
    this.outer = outer;
    this.#tensors = new Initializers(proto, shop.sources);
    this.#inputs = shop.formal
      ? proto.input.filter(({ name }) => !this.#tensors.has(name ?? ''))
      : proto.input;
    this.#inputNames = new Set(this.#inputs.map(({ name }) => name ?? ''));
    this.#outputs = proto.output;
    this.#pinned = new Set(
      proto.quantizationAnnotation.flatMap(({ tensorName, quantParameterTensorNames }) => [
        tensorName ?? '',
        ...quantParameterTensorNames.map(({ value }) => value ?? ''),
      ]),
    );
    this.#described = new Set(
      proto.valueInfo.flatMap((value) => (valueInfo(value).shape ? [value.name ?? ''] : [])),
    );
    for (const value of [...proto.valueInfo, ...proto.output, ...proto.input])
      this.#facts.set(value.name ?? '', factOf(valueInfo(value)));
  }

  static async open(proto: GraphProto, shop: Workshop, outer?: WorkGraph): Promise<WorkGraph> {
    const graph = new WorkGraph(proto, shop, outer);
    const kept: NodeProto[] = [];
    for (const node of proto.node) {
      if (!(await graph.#lift(node))) kept.push(node);
      for (const { g, graphs } of node.attribute)
        for (const inner of g ? [g, ...graphs] : graphs)
          graph.#bodies.set(inner, await WorkGraph.open(inner, shop, graph));
    }
    const captured = (node: NodeProto): ReadonlySet<string> => graph.#captured(node);
    graph.#nodes = new NodeList(sortedNodes(kept, captured), captured);
    return graph;
  }

  /** A Constant becomes an initializer: so constants are found in one place. */
  async #lift(node: NodeProto): Promise<boolean> {
    const [output] = node.output;
    const tensor = output && this.op(node) === 'Constant' ? await constantOf(node, output) : undefined;
    if (tensor) this.#tensors.set(tensor);
    return tensor !== undefined;
  }

  // Nodes

  /** In the order of computation; a list of its own. */
  get nodes(): readonly NodeProto[] {
    return this.#nodes.toArray();
  }

  get size(): number {
    return this.#nodes.size;
  }

  has(node: NodeProto): boolean {
    return this.#nodes.has(node);
  }

  /** `Conv`, `com.microsoft::Gelu`; undefined for calls of functions that the model brings along. */
  op(node: NodeProto | undefined): string | undefined {
    if (!node || !this.shop.isOperator(node)) return undefined;
    const domain = domainOf(node.domain);
    return domain === '' ? (node.opType ?? '') : `${domain}::${node.opType ?? ''}`;
  }

  /** The node of this graph that makes a value, if it is one of `ops` (any, if none is named). */
  maker(name: string | undefined, ...ops: readonly string[]): NodeProto | undefined {
    const node = name === undefined ? undefined : this.#nodes.maker(name);
    return node && (ops.length === 0 || ops.includes(this.op(node) ?? '')) ? node : undefined;
  }

  /** Nodes that take a value, or whose sub-graphs do. */
  takers(name: string): readonly NodeProto[] {
    return this.#nodes.takers(name);
  }

  /** The one node that takes a value, once, by itself; undefined if anything else does, or the value leaves the graph. */
  soleTaker(name: string | undefined): NodeProto | undefined {
    if (name === undefined || this.leaves(name)) return undefined;
    const [taker, other] = this.#nodes.takers(name);
    if (!taker || other || this.#nodes.captures(taker, name)) return undefined;
    return taker.input.filter((input) => input === name).length === 1 ? taker : undefined;
  }

  isTaken(name: string): boolean {
    return this.#nodes.isTaken(name) || this.leaves(name);
  }

  /** An output of the graph, or a value that its annotations name: the name must stay. */
  leaves(name: string): boolean {
    return this.#pinned.has(name) || this.#outputs.some((output) => output.name === name);
  }

  isInput(name: string): boolean {
    return this.#inputNames.has(name);
  }

  get inputNames(): readonly string[] {
    return [...this.#inputNames];
  }

  get outputNames(): readonly string[] {
    return this.#outputs.map(({ name }) => name ?? '');
  }

  replace(node: NodeProto, ...others: readonly NodeProto[]): void {
    this.#nodes.replace(node, others);
  }

  remove(node: NodeProto): void {
    this.#nodes.replace(node, []);
  }

  insertBefore(node: NodeProto, ...others: readonly NodeProto[]): void {
    this.#nodes.insertBefore(node, others);
  }

  /** A new node, named after one that it stands for; not yet in the graph. */
  make(description: NodeDescription, like?: NodeProto): NodeProto {
    const wanted = description.name ?? (like?.name ? like.name : description.op);
    return nodeProto({ ...description, name: this.shop.names.unique(wanted) }, 0);
  }

  // Values

  fresh(wanted: string): string {
    return this.shop.names.unique(wanted);
  }

  /** Everything that takes `from` takes `to` instead. Not for values that leave the graph. */
  replaceUses(from: string, to: string): void {
    if (this.leaves(from)) throw new Error(`${from} leaves the graph`);
    this.#substitute(from, to);
  }

  /**
   * Takes a node out that hands `to` on as its only used output `from`. False if both names must stay: the output of
   * a graph cannot be its input, a constant, or a second output.
   */
  bypass(node: NodeProto, from: string, to: string): boolean {
    if (!this.leaves(from)) {
      this.replaceUses(from, to);
      // It may have been replaced itself: then by one with the same outputs.
      const now = this.#nodes.maker(from);
      if (now) this.remove(now);
      return true;
    }
    const maker = this.#nodes.maker(to);
    if (!maker || this.leaves(to)) return false;
    this.remove(node);
    this.replaceUses(to, from);
    const now = this.#nodes.maker(to);
    if (now) this.replace(now, { ...now, output: now.output.map((name) => (name === to ? from : name)) });
    return true;
  }

  /** What is known of a value of this graph or of those around it. */
  fact(name: string | undefined): Fact {
    if (!name) return {};
    const tensor = this.#tensors.get(name);
    if (tensor) return tensor.info;
    if (this.outer && !this.#defines(name)) return this.outer.fact(name);
    const scope = this.shop.scopes.get(this.#proto);
    return joined(this.#facts.get(name) ?? {}, {
      dtype: scope?.type(name),
      shape: scope?.shape(name),
    });
  }

  /** What was found out, or holds for a value that a pass makes. */
  learn(name: string, fact: Fact): void {
    this.#facts.set(name, joined(fact, this.#facts.get(name) ?? {}));
  }

  /**
   * Types and shapes of all values, as far as they are known, are written down in the graph. Gives how many are that
   * were not before.
   */
  describe(): number {
    this.#wishes.add('value_info');
    const before = this.#described.size;
    for (const node of this.#nodes.toArray())
      for (const name of node.output) {
        const { dtype, shape } = this.fact(name);
        if (dtype !== undefined && shape && !this.leaves(name)) this.#described.add(name);
      }
    return this.#described.size - before;
  }

  // Constants

  /** An initializer of this graph, its default value if it can be fed. */
  tensor(name: string): TensorSource | undefined {
    return this.#tensors.get(name);
  }

  /** Initializers of this graph. */
  get tensors(): ReadonlyMap<string, TensorSource> {
    return this.#tensors.all;
  }

  /** A value of this graph or of those around it that never changes. */
  constant(name: string | undefined): TensorSource | undefined {
    if (!name) return undefined;
    const tensor = this.#tensors.get(name);
    if (tensor) return this.#inputNames.has(name) ? undefined : tensor;
    return this.outer && !this.#defines(name) ? this.outer.constant(name) : undefined;
  }

  /** The numbers of a constant of at most 64 KiB. */
  async value(name: string | undefined): Promise<Constant | undefined> {
    const tensor = this.constant(name);
    return tensor && readConstant(tensor);
  }

  /** A new initializer; gives its name. */
  addTensor(wanted: string, tensor: TensorSource): string {
    const name = this.fresh(wanted);
    this.#tensors.set(renamed(tensor, name));
    return name;
  }

  addConstant(wanted: string, dtype: DType, shape: readonly number[], values: ConstantNumbers): string {
    return this.addTensor(
      wanted,
      memoryTensor({ name: wanted, dtype, shape }, constantBytes(dtype, values), 'constant'),
    );
  }

  /** Takes an initializer out. Nothing may take it any more, or a node makes a value of that name now. */
  dropTensor(name: string): void {
    this.#tensors.delete(name);
  }

  /** A value that nodes made is an initializer from now on; its maker is taken out by who calls this. */
  setTensor(name: string, tensor: TensorSource): void {
    this.#tensors.set(renamed(tensor, name));
  }

  // Sub-graphs

  bodies(node: NodeProto): readonly WorkGraph[] {
    return node.attribute
      .flatMap(({ g, graphs }) => (g ? [g, ...graphs] : graphs))
      .flatMap((inner) => this.#bodies.get(inner) ?? []);
  }

  /** The sub-graph of an attribute (`then_branch`). */
  body(node: NodeProto, attribute: string): WorkGraph | undefined {
    const inner = node.attribute.find(({ name }) => name === attribute)?.g;
    return inner && this.#bodies.get(inner);
  }

  /** Opens the graphs inside nodes that are to come into this one. */
  async adopt(nodes: readonly NodeProto[]): Promise<void> {
    for (const { attribute } of nodes)
      for (const { g, graphs } of attribute)
        for (const inner of g ? [g, ...graphs] : graphs)
          this.#bodies.set(inner, await WorkGraph.open(inner, this.shop, this));
  }

  /** A sub-graph was rewritten: what its node takes may be something else. */
  refresh(body: WorkGraph): void {
    for (const node of this.#nodes.toArray())
      if (this.bodies(node).includes(body)) this.#nodes.replace(node, [{ ...node }]);
  }

  /** Values of this graph, or of those around it, that the sub-graphs of a node take. */
  capturedBy(node: NodeProto): ReadonlySet<string> {
    return this.#captured(node);
  }

  /** True if a name is a value of a graph around this one. */
  isOuter(name: string): boolean {
    for (let graph = this.outer; graph; graph = graph.outer) if (graph.#defines(name)) return true;
    return this.#proto.sparseInitializer.some(({ values }) => values?.name === name);
  }

  #captured(node: NodeProto): ReadonlySet<string> {
    return new Set(this.bodies(node).flatMap((body) => [...body.#free()]));
  }

  /** Values of graphs around this one that it takes. */
  #free(): ReadonlySet<string> {
    const taken = new Set(this.outputNames);
    for (const node of this.#nodes.toArray()) {
      for (const name of node.input) if (name !== '') taken.add(name);
      for (const name of this.#captured(node)) taken.add(name);
    }
    for (const name of taken) if (this.#defines(name)) taken.delete(name);
    return taken;
  }

  #defines(name: string): boolean {
    if (this.#inputNames.has(name) || this.#tensors.has(name) || this.#nodes.maker(name)) return true;
    return this.#proto.sparseInitializer.some(({ values }) => values?.name === name);
  }

  #renameOuter(from: string, to: string): void {
    if (this.#defines(from)) return;
    this.#outputs = this.#outputs.map((output) => (output.name === from ? { ...output, name: to } : output));
    this.#substitute(from, to);
  }

  #substitute(from: string, to: string): void {
    for (const node of this.#nodes.takers(from)) {
      for (const body of this.bodies(node)) body.#renameOuter(from, to);
      const input = node.input.map((name) => (name === from ? to : name));
      this.#nodes.replace(node, [{ ...node, input }]);
    }
  }

  // The end

  /** The graph as a message. Initializers that it was given are noted in `sources`. */
  finish(): GraphProto {
    const made = new Set(this.#nodes.toArray().flatMap(({ output }) => output));
    const known = this.#proto.valueInfo.filter(
      ({ name }) => made.has(name ?? '') && !this.leaves(name ?? ''),
    );
    return {
      ...this.#proto,
      input: this.#inputs,
      output: this.#outputs,
      node: this.#nodes.toArray().map((node) => this.#closed(node)),
      initializer: this.#tensors.messages(),
      valueInfo: this.#wishes.has('value_info')
        ? describedValues(made, known, (name) => (this.leaves(name) ? {} : this.fact(name)))
        : known,
    };
  }

  #closed(node: NodeProto): NodeProto {
    if (this.bodies(node).length === 0) return node;
    const close = (inner: GraphProto): GraphProto => this.#bodies.get(inner)?.finish() ?? inner;
    return {
      ...node,
      attribute: node.attribute.map((one) => ({
        ...one,
        g: one.g && close(one.g),
        graphs: one.graphs.map(close),
      })),
    };
  }
}
