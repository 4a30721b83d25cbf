import type { Model } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import { create, type GraphProto, type ModelProto, type ValueInfoProto } from '../../formats/onnx/schema.js';
import { protoOf, summarize } from '../../formats/onnx/summary.js';
import { keepPositions } from '../../kernels/keep-positions.js';
import { adjusted } from './adjust.js';
import type { ChannelGraph } from './graph.js';
import type { ChannelGroup, Member } from './groups.js';

/** A group, and its units that stay. */
export interface Cut {
  readonly group: ChannelGroup;
  readonly kept: ReadonlySet<number>;
}

/** Positions of an axis whose unit stays. */
export const keptPositions = ({ units }: Member, kept: ReadonlySet<number>): readonly number[] =>
  Array.from(units.keys()).filter((i) => kept.has(units[i] ?? -1));

/**
 * Takes channels out of a graph: weights lose positions, and numbers that say how many there are (sizes of a Reshape,
 * groups of a convolution) follow. `weights`: tensors that take the place of weights first, as large as those.
 */
export function cutChannels(
  graph: ChannelGraph,
  cuts: readonly Cut[],
  weights: ReadonlyMap<string, TensorSource> = new Map(),
): Model {
  const { edit } = graph;
  const sizes = newSizes(graph, cuts);
  adjusted(graph, sizes);
  for (const [name, tensor] of weights) edit.replaceTensor(name, tensor);
  for (const { group, kept } of cuts)
    for (const member of group.weights) {
      const tensor = edit.tensor(member.value);
      const positions = keptPositions(member, kept);
      if (tensor && positions.length < member.units.length)
        edit.replaceTensor(member.value, keepPositions(tensor, member.axis, positions));
    }
  return withTypes(edit.finish(), sizes);
}

/** Shapes of all values that shrink. */
export type NewSizes = ReadonlyMap<string, readonly number[]>;

function newSizes(graph: ChannelGraph, cuts: readonly Cut[]): NewSizes {
  const sizes = new Map<string, number[]>();
  for (const { group, kept } of cuts)
    for (const member of [...group.weights, ...group.values]) {
      const shape = sizes.get(member.value) ?? [...(graph.shape(member.value) ?? [])];
      shape[member.axis] = keptPositions(member, kept).length;
      sizes.set(member.value, shape);
    }
  return sizes;
}

/** What the graph notes of the types of its values, with the new sizes where it had numbers. */
function withTypes(model: Model, sizes: NewSizes): Model {
  if (!model.graph) return model;
  const proto = protoOf(model.graph);
  const { graph } = proto;
  if (!graph) return model;
  const shrunk = new Map(model.tensors.map(({ info }) => [info.name, info.shape] as const));
  const initializer = graph.initializer.map((message) => {
    const shape = shrunk.get(message.name ?? '');
    return shape ? { ...message, dims: shape.map(BigInt) } : message;
  });
  const next: GraphProto = {
    ...graph,
    initializer,
    input: graph.input.map((value) => resized(value, shrunk.get(value.name ?? ''))),
    valueInfo: graph.valueInfo.map((value) => resized(value, sizes.get(value.name ?? ''))),
  };
  const changed: ModelProto = { ...proto, graph: next };
  return { ...model, graph: summarize(changed) };
}

function resized(value: ValueInfoProto, shape: readonly number[] | undefined): ValueInfoProto {
  const tensor = value.type?.tensorType;
  const old = tensor?.shape;
  if (!shape || !tensor || !old || old.dim.length !== shape.length) return value;
  const dim = old.dim.map((one, axis) =>
    one.dimValue === undefined
      ? one
      : create('TensorShapeProtoDimension', { dimValue: BigInt(shape[axis] ?? 0) }),
  );
  return {
    ...value,
    type: { ...value.type, tensorType: { ...tensor, shape: { ...old, dim } } },
  } as ValueInfoProto;
}
