import type { DType } from '../core/dtype.js';
import { type Model, tensorMap } from '../core/model.js';
import { memoryTensor, type TensorSource } from '../core/tensor.js';
import { onnxTypeOf } from '../formats/onnx/dtypes.js';
import { initializersOf } from '../formats/onnx/graphs.js';
import { create, type GraphProto, type ModelProto, type NodeProto } from '../formats/onnx/schema.js';
import { protoOf, summarize } from '../formats/onnx/summary.js';
import { internalTensor } from '../formats/onnx/tensor-data.js';
import { tensorFacts } from '../formats/onnx/tensor-facts.js';
import { type NodeDescription, nodeProto } from './build.js';
import { FreshNames } from './opset/constants-made.js';
import { namesOf } from './opset/names.js';

/** A node of an edited graph. */
export type EditNode = NodeProto;

/**
 * The main graph of a model while a pass rewrites it: nodes in order, initializers by name, who makes and who takes a
 * value. Sub-graphs and functions stay as they are; what they take from outside counts as taken. Nothing is
 * changed in the model that was given: `finish` makes a new one.
 */
export class GraphEdit {
  readonly #model: Model;
  readonly #proto: ModelProto;
  readonly #graph: GraphProto;
  readonly #tensors = new Map<string, TensorSource>();
  readonly #names: FreshNames;
  readonly #domains = new Map<string, number>();
  #nodes: NodeProto[];

  private constructor(model: Model, proto: ModelProto, graph: GraphProto) {
    this.#model = model;
    this.#proto = proto;
    this.#graph = graph;
    this.#nodes = [...graph.node];
    this.#names = new FreshNames(namesOf(proto).taken);
    for (const { domain = '', version = 0n } of proto.opsetImport)
      this.#domains.set(domain === 'ai.onnx' ? '' : domain, Number(version));
    const tensors = tensorMap(model);
    for (const initializer of initializersOf(proto)) {
      const tensor = tensors.get(initializer.name);
      if (tensor && initializer.main && 'tensor' in initializer) this.#tensors.set(initializer.name, tensor);
    }
  }

  /** Constant nodes of the main graph become initializers, so that weights are found in one place. */
  static async open(model: Model): Promise<GraphEdit> {
    if (!model.graph) throw new Error('GraphEdit needs a graph');
    const proto = protoOf(model.graph);
    if (!proto.graph) throw new Error('the model has no main graph');
    const edit = new GraphEdit(model, proto, proto.graph);
    const kept: NodeProto[] = [];
    for (const node of edit.#nodes) {
      const value = node.attribute.find(({ name }) => name === 'value')?.t;
      const [output] = node.output;
      if (node.opType !== 'Constant' || (node.domain ?? '') !== '' || !value || !output) {
        kept.push(node);
        continue;
      }
      const tensor = await internalTensor(value, tensorFacts(value, output, 'graph'));
      edit.#tensors.set(output, { ...tensor, info: { ...tensor.info, name: output } });
    }
    edit.#nodes = kept;
    return edit;
  }

  get nodes(): readonly EditNode[] {
    return this.#nodes;
  }

  /** Version of an operator set; 0 where the model does not import it. */
  opset(domain = ''): number {
    return this.#domains.get(domain) ?? 0;
  }

  /** The operator set is imported, at least in this version. */
  importDomain(domain: string, version: number): void {
    this.#domains.set(domain, Math.max(version, this.opset(domain)));
  }

  /** An initializer of the main graph. */
  tensor(name: string): TensorSource | undefined {
    return this.#tensors.get(name);
  }

  get initializers(): ReadonlyMap<string, TensorSource> {
    return this.#tensors;
  }

  /** Names of graph inputs, those with a default included: their values may be fed. */
  get inputNames(): ReadonlySet<string> {
    return new Set(this.#graph.input.map(({ name }) => name ?? ''));
  }

  get outputNames(): ReadonlySet<string> {
    return new Set(this.#graph.output.map(({ name }) => name ?? ''));
  }

  /** An initializer whose value is fixed: not one that only defaults an input (IR 4 and later). */
  isConstant(name: string): boolean {
    return this.#tensors.has(name) && ((this.#proto.irVersion ?? 0n) < 4n || !this.inputNames.has(name));
  }

  /** Values of the main graph that sub-graphs take. */
  get captured(): ReadonlySet<string> {
    const names = new Set<string>();
    const look = (nodes: readonly NodeProto[], inner: boolean): void => {
      for (const { input, attribute } of nodes) {
        if (inner) for (const name of input) names.add(name);
        for (const { g, graphs } of attribute)
          for (const graph of g ? [g, ...graphs] : graphs) {
            for (const { name } of graph.output) names.add(name ?? '');
            look(graph.node, true);
          }
      }
    };
    look(this.#nodes, false);
    return names;
  }

  /** Nodes of the main graph by the values they take. */
  consumers(): ReadonlyMap<string, readonly EditNode[]> {
    const map = new Map<string, EditNode[]>();
    for (const node of this.#nodes)
      for (const name of new Set(node.input)) {
        const list = map.get(name);
        if (list) list.push(node);
        else map.set(name, [node]);
      }
    return map;
  }

  /** Node of the main graph that makes a value. */
  producers(): ReadonlyMap<string, EditNode> {
    const map = new Map<string, EditNode>();
    for (const node of this.#nodes) for (const name of node.output) if (name !== '') map.set(name, node);
    return map;
  }

  fresh(wanted: string): string {
    return this.#names.unique(wanted);
  }

  /** A new initializer; gives its name. */
  add(wanted: string, tensor: TensorSource): string {
    const name = this.fresh(wanted);
    this.#tensors.set(name, { ...tensor, info: { ...tensor.info, name } });
    return name;
  }

  addBytes(wanted: string, dtype: DType, shape: readonly number[], bytes: Uint8Array): string {
    return this.add(wanted, memoryTensor({ name: wanted, dtype, shape }, bytes));
  }

  /** Another tensor under the name of an initializer. */
  replaceTensor(name: string, tensor: TensorSource): void {
    this.#tensors.set(name, { ...tensor, info: { ...tensor.info, name } });
  }

  /** Leaves an initializer out: a node makes the value of that name now. */
  drop(name: string): void {
    this.#tensors.delete(name);
  }

  /** A node from its description, not yet in the graph. */
  make(node: NodeDescription): EditNode {
    return nodeProto({ ...node, name: node.name ?? this.fresh(node.op) }, 0);
  }

  /** Replaces nodes, each by a list in its place. */
  rewrite(change: (node: EditNode) => readonly EditNode[] | undefined): void {
    this.#nodes = this.#nodes.flatMap((node) => change(node) ?? [node]);
  }

  /** Puts nodes at the front, before everything that may take their outputs. */
  prepend(nodes: readonly EditNode[]): void {
    this.#nodes = [...nodes, ...this.#nodes];
  }

  /** Puts nodes at the end, behind everything whose outputs they may take. */
  append(nodes: readonly EditNode[]): void {
    this.#nodes = [...this.#nodes, ...nodes];
  }

  /**
   * The rewritten model. Initializers that nothing takes any more are left out. Before IR 4 every initializer was an
   * input too, which new ones are not: such a model becomes IR 4, where its constants are no inputs.
   */
  finish(): Model {
    const formal = (this.#proto.irVersion ?? 0n) < 4n;
    const graph: GraphProto = { ...this.#graph, node: this.#nodes };
    const draft: ModelProto = { ...this.#proto, graph };
    const { used } = namesOf(draft);
    const messages = new Map(this.#graph.initializer.map((message) => [message.name ?? '', message]));
    const inputs = this.inputNames;
    const kept = [...this.#tensors].filter(([name]) => used.has(name) || (!formal && inputs.has(name)));
    const initializer = kept.map(([name, { info }]) => {
      const message = messages.get(name);
      const dataType = onnxTypeOf(info.dtype)?.id;
      if (message && message.dataType === dataType) return message;
      return create('TensorProto', { name, dims: info.shape.map(BigInt), ...(dataType ? { dataType } : {}) });
    });
    const gone = new Set([...messages.keys()].filter((name) => !kept.some(([known]) => known === name)));
    const changed = new Set(initializer.flatMap(({ name }) => name ?? []));
    const opsetImport = [...this.#domains].map(([domain, version]) =>
      create('OperatorSetIdProto', { domain, version: BigInt(version) }),
    );
    const noInputs = formal ? new Set([...gone, ...changed]) : gone;
    const proto: ModelProto = {
      ...this.#proto,
      ...(formal ? { irVersion: 4n } : {}),
      opsetImport,
      graph: {
        ...graph,
        initializer,
        // Types that were noted for values which are made otherwise now would be wrong.
        valueInfo: graph.valueInfo.filter(({ name }) => !changed.has(name ?? '')),
        input: graph.input.filter(({ name }) => !noInputs.has(name ?? '')),
      },
    };
    const main = new Set(messages.keys());
    const others = this.#model.tensors.filter(({ info }) => !main.has(info.name));
    const names = new Set(kept.map(([name]) => name));
    return {
      ...this.#model,
      ...(formal ? { formatVersion: 'IR 4' } : {}),
      tensors: [...kept.map(([, tensor]) => tensor), ...others],
      aliases: new Map(
        [...this.#model.aliases].filter(
          ([alias, canonical]) => names.has(alias) && names.has(canonical) && this.#same(alias, canonical),
        ),
      ),
      graph: summarize(proto),
    };
  }

  #same(a: string, b: string): boolean {
    const [x, y] = [this.#tensors.get(a), this.#tensors.get(b)];
    return x?.info.dtype === y?.info.dtype && x?.byteLength === y?.byteLength;
  }
}
