import { type Model, tensorMap } from '../core/model.js';
import { create, type NodeProto } from '../formats/onnx/schema.js';
import { skeletonBytes } from '../formats/onnx/skeleton.js';
import { protoOf, summarize } from '../formats/onnx/summary.js';
import { nodeProto } from '../graph/build.js';

/** The model with other outputs: the values named, as they are. Nodes that these do not need are left out. */
export function observing(model: Model, names: readonly string[]): Model {
  return withOutputs(model, names, []);
}

/** What the value is called that holds the shape of another one. */
export const shapeName = (name: string): string => `${name}__mlser_shape`;

/** The model with the shapes of the values named as outputs, beside those it has. */
export function measuring(model: Model, names: readonly string[]): Model {
  const shapes = names.map((name, i) =>
    nodeProto(
      { op: 'Shape', inputs: [name], outputs: [shapeName(name)], name: shapeName(`${name}_${i}`) },
      i,
    ),
  );
  const own = model.graph?.outputs.map(({ name }) => name) ?? [];
  return withOutputs(model, [...own, ...names.map(shapeName)], shapes);
}

/** The model with outputs that the added nodes make, and no others. */
export function withOutputs(model: Model, names: readonly string[], added: readonly NodeProto[]): Model {
  if (!model.graph) throw new Error('only graphs are calibrated');
  const proto = protoOf(model.graph);
  const graph = proto.graph ?? create('GraphProto');
  const known = new Map(graph.output.map((output) => [output.name ?? '', output]));
  const nodes = [...graph.node, ...added];
  // Tensors of sub-graphs are named by the place of their node: then all nodes stay.
  const node = model.graph.subgraphs > 0 ? nodes : upstream(nodes, names);
  const taken = new Set(node.flatMap(({ input }) => input));
  const gone = new Set(
    model.graph.subgraphs > 0
      ? []
      : graph.initializer.flatMap(({ name = '' }) => (taken.has(name) || names.includes(name) ? [] : [name])),
  );
  return {
    ...model,
    tensors: model.tensors.filter(({ info }) => !gone.has(info.name)),
    graph: summarize({
      ...proto,
      trainingInfo: [],
      graph: {
        ...graph,
        node,
        initializer: graph.initializer.filter(({ name }) => !gone.has(name ?? '')),
        // Inputs that only repeat an initializer go with it. The runtime infers types that are not given.
        input: graph.input.filter(({ name }) => !gone.has(name ?? '')),
        output: names.map((name) => known.get(name) ?? create('ValueInfoProto', { name })),
      },
    }),
  };
}

/** Nodes that the values need, in their order. */
function upstream(nodes: readonly NodeProto[], names: readonly string[]): readonly NodeProto[] {
  const needed = new Set(names);
  const kept = [...nodes].reverse().filter(({ input, output }) => {
    if (!output.some((name) => needed.has(name))) return false;
    for (const name of input) needed.add(name);
    return true;
  });
  return kept.reverse();
}

/** As bytes for the runtime: weights stay in the files they lie in. */
export function bytesFor(model: Model, inPlace: boolean): Promise<Uint8Array> {
  const tensors = tensorMap(model);
  return skeletonBytes(model, (name) => {
    const tensor = inPlace ? tensors.get(name) : undefined;
    if (!tensor?.location) return undefined;
    return { location: tensor.location.file, offset: tensor.location.offset, length: tensor.byteLength };
  });
}
