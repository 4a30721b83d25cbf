import { type DType, elementCount } from '../core/dtype.js';
import { type Model, tensorMap } from '../core/model.js';
import type { TensorSource } from '../core/tensor.js';
import { onnxTypeOf } from '../formats/onnx/dtypes.js';
import { create, type GraphProto, type NodeProto, type ValueInfoProto } from '../formats/onnx/schema.js';
import { protoOf } from '../formats/onnx/summary.js';

/** Consecutive nodes of a graph, whose weights stay within a bound. */
export interface GraphPart {
  readonly nodes: readonly NodeProto[];
  readonly weights: ReadonlySet<string>;
  /** Values that come from outside: graph inputs, and results of earlier parts. */
  readonly needs: readonly string[];
  /** Results that later parts or the graph's outputs need. */
  readonly gives: readonly string[];
}

/**
 * Bytes that a weight takes while a graph runs: what is no f32 is mostly turned into it, codes by way of indices, and those
 * of few bits by way of products with the scales of blocks. Too much where an operator takes the integers as they are.
 */
export function workingBytes({ info, byteLength }: TensorSource): number {
  const { dtype, shape, name } = info;
  if (dtype === 'f16' || dtype === 'bf16') return byteLength + 4 * elementCount(shape, name);
  if (dtype === 'u2' || dtype === 'u4') return byteLength + 16 * elementCount(shape, name);
  return /^[iuf](2|4|8)(_|$)/.test(dtype) ? byteLength + 8 * elementCount(shape, name) : byteLength;
}

/**
 * The nodes, those that compute from weights alone (dequantizing, looking up) right in front of the first that takes
 * what they make: else the first part would hand on all weights as floats.
 */
function lateConstants(
  nodes: readonly NodeProto[],
  isWeight: (name: string) => boolean,
): readonly NodeProto[] {
  const makers = new Map<string, NodeProto>();
  for (const node of nodes)
    if (
      node.input.length > 0 &&
      node.input.every((name) => name === '' || isWeight(name) || makers.has(name))
    )
      for (const output of node.output) makers.set(output, node);
  const early = new Set(makers.values());
  const positions = new Map(nodes.map((node, i) => [node, i]));
  const placed = new Set<NodeProto>();
  const ordered: NodeProto[] = [];
  const place = (last: NodeProto): void => {
    const waiting = [last];
    const found: NodeProto[] = [];
    for (let node = waiting.pop(); node; node = waiting.pop()) {
      if (placed.has(node)) continue;
      placed.add(node);
      found.push(node);
      for (const name of node.input) {
        const maker = makers.get(name);
        if (maker) waiting.push(maker);
      }
    }
    ordered.push(...found.sort((a, b) => (positions.get(a) ?? 0) - (positions.get(b) ?? 0)));
  };
  for (const node of nodes) if (!early.has(node)) place(node);
  for (const node of nodes) place(node);
  return ordered;
}

/**
 * Cuts a graph into parts that can be run one after the other, each with at most `maxBytes` of weights (`workingBytes`) (a single
 * larger tensor makes a part of its own). undefined where that cannot be done simply: sub-graphs, sparse
 * initializers, nodes out of order, outputs that no node makes, or nothing to cut.
 */
export function partition(model: Model, maxBytes: number): readonly GraphPart[] | undefined {
  const graph = model.graph && protoOf(model.graph).graph;
  if (!model.graph || !graph || model.graph.subgraphs > 0 || graph.sparseInitializer.length > 0)
    return undefined;
  const weights = tensorMap(model);
  const ready = new Set(model.graph.inputs.map((input) => input.name));
  const groups: { nodes: NodeProto[]; weights: Set<string>; bytes: number }[] = [];
  let group: (typeof groups)[number] | undefined;
  const bytesOf = (name: string): number => {
    const tensor = weights.get(name);
    return tensor ? workingBytes(tensor) : 0;
  };
  for (const node of lateConstants(graph.node, (name) => weights.has(name))) {
    const used = node.input.filter((name) => name !== '');
    if (used.some((name) => !ready.has(name) && !weights.has(name))) return undefined;
    for (const output of node.output) ready.add(output);
    const own = used.filter((name) => weights.has(name));
    const added = new Set(own.filter((name) => !group?.weights.has(name)));
    const extra = [...added].reduce((sum, name) => sum + bytesOf(name), 0);
    if (!group || (group.bytes > 0 && group.bytes + extra > maxBytes)) {
      group = { nodes: [], weights: new Set(), bytes: 0 };
      groups.push(group);
    }
    group.nodes.push(node);
    for (const name of own) {
      if (!group.weights.has(name)) group.bytes += bytesOf(name);
      group.weights.add(name);
    }
  }
  const made = new Set(graph.node.flatMap((node) => node.output));
  const outputs = model.graph.outputs.map((output) => output.name);
  if (groups.length < 2 || outputs.some((name) => !made.has(name))) return undefined;
  return connect(groups, outputs);
}

/** What flows between the parts, found from the last one backwards. */
function connect(
  groups: readonly { readonly nodes: readonly NodeProto[]; readonly weights: ReadonlySet<string> }[],
  outputs: readonly string[],
): GraphPart[] {
  const wanted = new Set(outputs);
  const parts: GraphPart[] = [];
  for (const { nodes, weights } of [...groups].reverse()) {
    const made = new Set(nodes.flatMap((node) => node.output).filter((name) => name !== ''));
    const gives = [...made].filter((name) => wanted.has(name));
    const used = new Set(nodes.flatMap((node) => node.input));
    const needs = [...used].filter((name) => name !== '' && !made.has(name) && !weights.has(name));
    for (const name of needs) wanted.add(name);
    parts.unshift({ nodes, weights, needs, gives });
  }
  return parts;
}

/** A value as it was when it was computed. */
export interface KnownValue {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** A part as a model of its own. `values` tells the types of what it needs. */
export function partModel(model: Model, part: GraphPart, values: ReadonlyMap<string, KnownValue>): Model {
  if (!model.graph) throw new Error('a part of a model without a graph');
  const proto = protoOf(model.graph);
  const whole = proto.graph ?? create('GraphProto');
  const outputs = new Map(whole.output.map((output) => [output.name ?? '', output]));
  const graph: GraphProto = {
    ...whole,
    node: part.nodes,
    initializer: whole.initializer.filter((tensor) => part.weights.has(tensor.name ?? '')),
    input: part.needs.map((name) => valueInfo(name, values.get(name))),
    // The runtime infers types that are not given.
    output: part.gives.map((name) => outputs.get(name) ?? create('ValueInfoProto', { name })),
    valueInfo: [],
  };
  // Before version 4 every initializer had to be an input too.
  const irVersion = proto.irVersion !== undefined && proto.irVersion < 4n ? 4n : proto.irVersion;
  return {
    ...model,
    tensors: model.tensors.filter((tensor) => part.weights.has(tensor.info.name)),
    graph: { ...model.graph, proto: { ...proto, irVersion, trainingInfo: [], graph } },
  };
}

function valueInfo(name: string, value: KnownValue | undefined): ValueInfoProto {
  const type = value && onnxTypeOf(value.dtype);
  if (!value || !type) throw new Error(`the type of ${name} is not known`);
  const dim = value.shape.map((size) => create('TensorShapeProtoDimension', { dimValue: BigInt(size) }));
  return create('ValueInfoProto', {
    name,
    type: create('TypeProto', {
      tensorType: create('TypeProtoTensor', {
        elemType: type.id,
        shape: create('TensorShapeProto', { dim }),
      }),
    }),
  });
}
