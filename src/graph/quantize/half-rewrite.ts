import { readTensor } from '../../core/tensor.js';
import { rawBytes, rawContent } from '../../formats/onnx/data-span.js';
import {
  type AttributeProto,
  create,
  type GraphProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from '../../formats/onnx/schema.js';
import { nodeProto } from '../build.js';
import { halfTensor } from './half-constants.js';
import { demandOf } from './half-demand.js';
import type { Half } from './half-operators.js';
import type { Frame, Site, Value } from './half-values.js';
import type { Versions } from './half-versions.js';

/** Larger constants are streamed as the model is written. */
const READ_BYTES = 64 * 1024;

/** Writes the graphs anew in the types that were decided. */
export class Rewrite {
  readonly #half: Half;
  readonly #keepIo: boolean;
  readonly #versions: Versions;

  constructor(half: Half, keepIo: boolean, versions: Versions) {
    this.#half = half;
    this.#keepIo = keepIo;
    this.#versions = versions;
  }

  async graph(frame: Frame): Promise<GraphProto> {
    const { graph } = frame;
    const sheet = this.#versions.open(frame);
    if (!frame.outer) this.#keepResults(frame);
    for (const site of frame.sites) this.#alias(site);
    sheet.initializers.push(...graph.initializer.map((tensor) => this.#initializer(frame, tensor)));
    const written: { site: Site; nodes: readonly NodeProto[] }[] = [];
    for (const site of frame.sites) written.push({ site, nodes: await this.#node(site) });
    const output = graph.output.map((value, i) => this.#result(frame, value, i));
    return {
      ...graph,
      // Put together last: sub-graphs ask for casts of values that were made before.
      node: [
        ...sheet.front,
        ...written.flatMap(({ site, nodes }) => [...nodes, ...(sheet.after.get(site) ?? [])]),
      ],
      output,
      initializer: sheet.initializers,
      input: graph.input.map((value) => this.#typed(frame, value)),
      valueInfo: graph.valueInfo
        .filter(({ name = '' }) => !sheet.aliases.has(name) && !this.#versions.isRenamed(name))
        .map((value) => this.#typed(frame, value)),
    };
  }

  /** Results of the main graph keep their names: what is made in the other type makes way. */
  #keepResults(frame: Frame): void {
    for (const { name = '' } of frame.graph.output) {
      const value = frame.find(name);
      if (value?.maker && value.half === this.#keepIo) this.#versions.rename(value);
    }
  }

  /** Known before any node is written: not every graph is in order. */
  #alias(site: Site): void {
    const [name = ''] = site.node.output;
    const [value] = site.inputs;
    if (value && this.#endsHere(site) && !isResult(site.frame, name))
      this.#versions.setAlias(site.frame, name, this.#versions.own(value));
  }

  #initializer(frame: Frame, tensor: TensorProto): TensorProto {
    const value = frame.values.get(tensor.name ?? '');
    if (!value?.half || value.message !== tensor || !value.tensor) return tensor;
    const message = { ...tensor, dataType: this.#versions.type };
    this.#versions.made.set(message, halfTensor(value.tensor, this.#half, value.fit));
    return message;
  }

  async #node(site: Site): Promise<readonly NodeProto[]> {
    const { node, kind } = site;
    if (kind === 'cast-in' || kind === 'cast-out') return this.#castNode(site);
    const output = node.output.map((name, i) => {
      const value = site.outputs[i];
      return value ? this.#versions.own(value) : name;
    });
    if (kind === 'constant') return [await this.#constant({ ...node, output }, site.outputs[0])];
    const input = node.input.map((name, index) => this.#taken(site, name, index));
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

  /** The name of an input, in the type in which it is taken. */
  #taken(site: Site, name: string, index: number): string {
    const value = site.inputs[index];
    if (!value) return this.#versions.alias(site.frame, name);
    const demand = demandOf({ site, index });
    return demand === 'any' ? this.#versions.own(value) : this.#versions.named(value, demand === 'half');
  }

  /** A Cast of the source: to the type that is wanted now, or away where both sides have the same type now. */
  #castNode(site: Site): readonly NodeProto[] {
    const { node, frame } = site;
    const [name = ''] = node.output;
    const [given] = site.inputs;
    const [made] = site.outputs;
    const isHalf = given ? given.half : frame.scope.type(node.input[0]) === this.#half;
    const from = given ? this.#versions.own(given) : this.#versions.alias(frame, node.input[0] ?? '');
    if (made) {
      const to = this.#versions.own(made);
      if (made.half && isHalf) return [identity(node, from, to)];
      return [this.#versions.castNode(node.name ?? '', from, to, made.half)];
    }
    if (!given || !this.#endsHere(site)) return [{ ...node, input: [from] }];
    return isResult(frame, name) ? [identity(node, from, name)] : [];
  }

  /** A cast to half of what is half now. */
  #endsHere({ kind, node, inputs }: Site): boolean {
    const to = Number(node.attribute.find(({ name }) => name === 'to')?.i ?? 0n);
    return kind === 'cast-out' && inputs[0]?.half === true && to === this.#versions.type;
  }

  /** Constant, ConstantOfShape. */
  async #constant(node: NodeProto, value: Value | undefined): Promise<NodeProto> {
    if (!value?.half || !value.tensor) return node;
    const tensor = halfTensor(value.tensor, this.#half, value.fit);
    const t = create('TensorProto', {
      dims: tensor.info.shape.map(BigInt),
      dataType: this.#versions.type,
      data: tensor.byteLength > READ_BYTES ? [rawContent(tensor)] : [rawBytes(await readTensor(tensor))],
    });
    return { ...node, attribute: [create('AttributeProto', { name: 'value', type: 4, t })] };
  }

  /** A result of a graph. Sub-graphs tell theirs by place, so that names may change. */
  #result(frame: Frame, given: ValueInfoProto, index: number): ValueInfoProto {
    const { owner } = frame;
    const value = frame.find(given.name ?? '');
    if (!value) return owner ? { ...given, name: this.#versions.alias(frame, given.name ?? '') } : given;
    // What is not made by a node may be a constant that stays f32.
    if (!owner) return !this.#keepIo && (value.maker || value.half) ? this.#retyped(given) : given;
    const half = owner.wires.some(
      (wire) => wire.half && wire.exits.some((exit) => exit.frame === frame && exit.index === index),
    );
    const named = { ...given, name: this.#versions.named(value, half) };
    return half ? this.#retyped(named) : named;
  }

  #typed(frame: Frame, info: ValueInfoProto): ValueInfoProto {
    return frame.values.get(info.name ?? '')?.half ? this.#retyped(info) : info;
  }

  #retyped(info: ValueInfoProto): ValueInfoProto {
    const { type } = info;
    if (!type?.tensorType) return info;
    return { ...info, type: { ...type, tensorType: { ...type.tensorType, elemType: this.#versions.type } } };
  }
}

const isResult = ({ graph }: Frame, name: string): boolean =>
  graph.output.some((output) => output.name === name);

const identity = ({ name = '' }: NodeProto, from: string, to: string): NodeProto =>
  nodeProto({ op: 'Identity', name, inputs: [from], outputs: [to] }, 0);
