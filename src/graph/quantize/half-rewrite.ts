import type { TensorSource } from '../../core/tensor.js';
import { readTensor } from '../../core/tensor.js';
import { rawBytes, rawContent } from '../../formats/onnx/data-span.js';
import { onnxTypeOf } from '../../formats/onnx/dtypes.js';
import {
  type AttributeProto,
  create,
  type GraphProto,
  type NodeProto,
  type SparseTensorProto,
  type TensorProto,
  type ValueInfoProto,
} from '../../formats/onnx/schema.js';
import { attributeProto, nodeProto } from '../build.js';
import type { FreshNames } from '../opset/constants-made.js';
import { halfTensor } from './half-constants.js';
import { demandOf } from './half-demand.js';
import type { Half } from './half-operators.js';
import type { Frame, Site, Value } from './half-values.js';

/** Constants up to this size are there twice where both types are wanted; larger ones are cast as the model runs. */
const COPIED_BYTES = 1 << 20;
const FLOAT = 1;

/** A graph while it is written anew. */
interface Sheet {
  /** Before all nodes. */
  readonly front: NodeProto[];
  readonly after: Map<Site, NodeProto[]>;
  readonly initializers: TensorProto[];
  /** Values of other types that are the same as a half value. */
  readonly aliases: Map<string, string>;
}

/** Writes the graphs anew in the types that were decided. */
export class Rewrite {
  /** Tensors of initializers that are new or changed. */
  readonly made = new Map<TensorProto | SparseTensorProto, TensorSource>();
  casts = 0;
  readonly #half: Half;
  readonly #keepIo: boolean;
  readonly #type: number;
  readonly #names: FreshNames;
  readonly #sheets = new Map<Frame, Sheet>();
  /** Names of values in the type that they are not made in. */
  readonly #others = new Map<Value, string>();
  /** Values that leave their name to a result of the graph. */
  readonly #renamed = new Map<Value, string>();

  constructor(half: Half, keepIo: boolean, names: FreshNames) {
    this.#half = half;
    this.#keepIo = keepIo;
    this.#type = onnxTypeOf(half)?.id ?? 0;
    this.#names = names;
  }

  async graph(frame: Frame): Promise<GraphProto> {
    const sheet: Sheet = { front: [], after: new Map(), initializers: [], aliases: new Map() };
    this.#sheets.set(frame, sheet);
    if (!frame.outer) this.#keepResults(frame);
    for (const tensor of frame.graph.initializer) this.#initializer(frame, tensor, sheet);
    const written: { site: Site; nodes: readonly NodeProto[] }[] = [];
    for (const site of frame.sites) written.push({ site, nodes: await this.#node(site) });
    const output = frame.graph.output.map((value, i) => this.#result(frame, value, i));
    // Later sub-graphs may still ask for casts of values of this graph: nodes are put together last.
    const node = [
      ...sheet.front,
      ...written.flatMap(({ site, nodes }) => [...nodes, ...(sheet.after.get(site) ?? [])]),
    ];
    const gone = new Set([...sheet.aliases.keys(), ...[...this.#renamed.keys()].map(({ name }) => name)]);
    return {
      ...frame.graph,
      node,
      output,
      initializer: sheet.initializers,
      input: frame.graph.input.map((value) => this.#typed(frame, value)),
      valueInfo: frame.graph.valueInfo
        .filter(({ name }) => !gone.has(name ?? ''))
        .map((value) => this.#typed(frame, value)),
    };
  }

  /** Results of the main graph keep their names: what is made in the other type makes way. */
  #keepResults(frame: Frame): void {
    for (const { name = '' } of frame.graph.output) {
      const value = frame.find(name);
      if (!value?.maker || value.half !== this.#keepIo || this.#renamed.has(value)) continue;
      this.#renamed.set(value, this.#names.unique(`${name}_${value.half ? this.#half : 'f32'}`));
      this.#others.set(value, name);
      this.#put(value, this.#cast(this.#nameOf(value), name, !value.half));
    }
  }

  #initializer(frame: Frame, tensor: TensorProto, { initializers }: Sheet): void {
    const value = frame.values.get(tensor.name ?? '');
    if (!value?.half || value.message !== tensor || !value.tensor) {
      initializers.push(tensor);
      return;
    }
    const message = { ...tensor, dataType: this.#type };
    this.made.set(message, halfTensor(value.tensor, this.#half, value.fit));
    initializers.push(message);
  }

  /** The name of a value in the wanted type; casts are made once, where the value is made. */
  #named(value: Value, half: boolean): string {
    if (value.half === half) return this.#nameOf(value);
    const known = this.#others.get(value);
    if (known !== undefined) return known;
    const name = this.#names.unique(`${value.name}_${half ? this.#half : 'f32'}`);
    this.#others.set(value, name);
    if (half && value.tensor && !value.kept && value.tensor.byteLength <= COPIED_BYTES && value.message)
      this.#copy(value, name, value.tensor);
    else if (value.maker?.kind === 'cast-in')
      this.#put(
        value,
        this.#cast(this.#alias(value.maker.frame, value.maker.node.input[0] ?? ''), name, half),
      );
    else this.#put(value, this.#cast(this.#nameOf(value), name, half));
    return name;
  }

  #copy(value: Value, name: string, tensor: TensorSource): void {
    const { info, ...rest } = halfTensor(tensor, this.#half, value.fit);
    const message = create('TensorProto', { name, dims: info.shape.map(BigInt), dataType: this.#type });
    this.made.set(message, { ...rest, info: { ...info, name } });
    this.#sheets.get(value.frame)?.initializers.push(message);
  }

  #put(value: Value, node: NodeProto): void {
    const sheet = this.#sheets.get(value.frame);
    if (!sheet) throw new Error(`${value.name}: its graph is not being written`);
    const list = value.maker ? (sheet.after.get(value.maker) ?? []) : sheet.front;
    list.push(node);
    if (value.maker) sheet.after.set(value.maker, list);
  }

  #cast(from: string, to: string, half: boolean): NodeProto {
    this.casts++;
    const name = this.#names.unique(`Cast_${to}`);
    return castNode(name, from, to, half ? this.#type : FLOAT);
  }

  #nameOf = (value: Value): string => this.#renamed.get(value) ?? value.name;

  #alias(frame: Frame, name: string): string {
    for (let at: Frame | undefined = frame; at; at = at.outer) {
      const alias = this.#sheets.get(at)?.aliases.get(name);
      if (alias !== undefined) return alias;
      if (at.names.has(name)) break;
    }
    return name;
  }

  async #node(site: Site): Promise<readonly NodeProto[]> {
    const { node, kind, frame } = site;
    if (kind === 'cast-in' || kind === 'cast-out') return this.#castNode(site);
    const output = node.output.map((name, i) => {
      const value = site.outputs[i];
      return value ? this.#nameOf(value) : name;
    });
    if (kind === 'constant') return [await this.#constant({ ...node, output }, site.outputs[0])];
    const input = node.input.map((name, index) => {
      const value = site.inputs[index];
      if (!value) return this.#alias(frame, name);
      const demand = demandOf({ site, index });
      return demand === 'any' ? this.#nameOf(value) : this.#named(value, demand === 'half');
    });
    if (site.inner.length === 0) return [{ ...node, input, output }];
    const attribute: AttributeProto[] = [];
    const inner = site.inner[Symbol.iterator]();
    const next = async (graph: GraphProto): Promise<GraphProto> => {
      const { value } = inner.next();
      return value ? this.graph(value) : graph;
    };
    for (const one of node.attribute) {
      const g = one.g && (await next(one.g));
      const graphs: GraphProto[] = [];
      for (const graph of one.graphs) graphs.push(await next(graph));
      attribute.push({ ...one, g, graphs });
    }
    // Tensors of sub-graphs are named by the place of their node, which the new nodes would shift.
    return [{ ...node, input, output, attribute, name: site.label }];
  }

  /** A Cast of the source: to the type that is wanted now, or away where both sides have the same type now. */
  #castNode(site: Site): readonly NodeProto[] {
    const { node, frame, kind } = site;
    const [name = ''] = node.output;
    const [given] = site.inputs;
    const [made] = site.outputs;
    const isHalf = given ? given.half : frame.scope.type(node.input[0]) === this.#half;
    const from = given ? this.#nameOf(given) : this.#alias(frame, node.input[0] ?? '');
    if (kind === 'cast-in' && made) {
      if (made.half && isHalf) return [identity(node, from, this.#nameOf(made))];
      return [castNode(node.name ?? '', from, this.#nameOf(made), made.half ? this.#type : FLOAT)];
    }
    const to = Number(node.attribute.find((attribute) => attribute.name === 'to')?.i ?? 0n);
    const isResult = frame.graph.output.some((output) => output.name === name);
    if (isHalf && to === this.#type) {
      if (isResult) return [identity(node, from, name)];
      this.#sheets.get(frame)?.aliases.set(name, from);
      return [];
    }
    return [{ ...node, input: [from] }];
  }

  /** Constant, ConstantOfShape. */
  async #constant(node: NodeProto, value: Value | undefined): Promise<NodeProto> {
    if (!value?.half || !value.tensor) return node;
    const tensor = halfTensor(value.tensor, this.#half, value.fit);
    const t = create('TensorProto', {
      dims: tensor.info.shape.map(BigInt),
      dataType: this.#type,
      data: tensor.byteLength > COPIED_BYTES ? [rawContent(tensor)] : [rawBytes(await readTensor(tensor))],
    });
    return { ...node, attribute: [create('AttributeProto', { name: 'value', type: 4, t })] };
  }

  /** A result of a graph. Sub-graphs tell theirs by place, so that names may change. */
  #result(frame: Frame, given: ValueInfoProto, index: number): ValueInfoProto {
    const value = frame.find(given.name ?? '');
    const { owner } = frame;
    if (!value) return { ...given, name: owner ? this.#alias(frame, given.name ?? '') : given.name };
    // What is not made by a node may be a constant that stays f32.
    if (!owner) return !this.#keepIo && (value.maker || value.half) ? this.#retyped(given) : given;
    const half = owner.wires.some(
      (wire) => wire.half && wire.exits.some((exit) => exit.frame === frame && exit.index === index),
    );
    const named = { ...given, name: this.#named(value, half) };
    return half ? this.#retyped(named) : named;
  }

  #typed(frame: Frame, info: ValueInfoProto): ValueInfoProto {
    return frame.values.get(info.name ?? '')?.half ? this.#retyped(info) : info;
  }

  #retyped(info: ValueInfoProto): ValueInfoProto {
    const { type } = info;
    if (!type?.tensorType) return info;
    return { ...info, type: { ...type, tensorType: { ...type.tensorType, elemType: this.#type } } };
  }
}

const castNode = (name: string, from: string, to: string, type: number): NodeProto => ({
  ...nodeProto({ op: 'Cast', name, inputs: [from], outputs: [to] }, 0),
  attribute: [attributeProto('to', BigInt(type))],
});

const identity = ({ name = '' }: NodeProto, from: string, to: string): NodeProto =>
  nodeProto({ op: 'Identity', name, inputs: [from], outputs: [to] }, 0);
