import type { OnnxGraph, OnnxValueInfo } from '../../core/graph.js';
import { domainOf } from './check-node.js';
import { onnxType } from './dtypes.js';
import { graphsOf } from './graphs.js';
import type { ModelProto, NodeProto, TensorShapeProto, TypeProto, ValueInfoProto } from './schema.js';

const elementType = (id: number | undefined): string => onnxType(id ?? 0)?.dtype ?? `type ${id ?? 0}`;

function typeText(type: TypeProto | undefined): string {
  if (type?.tensorType) return elementType(type.tensorType.elemType);
  if (type?.sparseTensorType) return `sparse(${elementType(type.sparseTensorType.elemType)})`;
  if (type?.sequenceType) return `sequence(${typeText(type.sequenceType.elemType)})`;
  if (type?.optionalType) return `optional(${typeText(type.optionalType.elemType)})`;
  if (type?.mapType) return `map(${elementType(type.mapType.keyType)}, ${typeText(type.mapType.valueType)})`;
  if (type?.opaqueType) return `opaque(${type.opaqueType.domain ?? ''}, ${type.opaqueType.name ?? ''})`;
  return 'unknown';
}

const shapeOf = (shape: TensorShapeProto | undefined): (number | string | null)[] | undefined =>
  shape?.dim.map(({ dimValue, dimParam }) =>
    dimValue !== undefined ? Number(dimValue) : dimParam ? dimParam : null,
  );

export const valueInfo = (value: ValueInfoProto): OnnxValueInfo => ({
  name: value.name ?? '',
  dtype: typeText(value.type),
  shape: shapeOf(value.type?.tensorType?.shape ?? value.type?.sparseTensorType?.shape),
});

/** The graph as the layers above see it. */
export function summarize(model: ModelProto): OnnxGraph {
  const graph = model.graph;
  const ops = new Map<string, number>();
  const count = (nodes: readonly NodeProto[]): void => {
    for (const { opType = '', domain } of nodes) {
      const op = domainOf(domain) === '' ? opType : `${domain}::${opType}`;
      ops.set(op, (ops.get(op) ?? 0) + 1);
    }
  };
  let subgraphs = 0;
  for (const place of graphsOf(model)) {
    count(place.graph.node);
    if (!place.main) subgraphs++;
  }
  for (const body of model.functions) count(body.node);
  const initialized = new Set([
    ...(graph?.initializer ?? []).map(({ name }) => name),
    ...(graph?.sparseInitializer ?? []).map(({ values }) => values?.name),
  ]);
  return {
    irVersion: Number(model.irVersion ?? 0n),
    opsets: new Map(
      model.opsetImport.map(({ domain, version }) => [domainOf(domain), Number(version ?? 0n)]),
    ),
    producer: [model.producerName, model.producerVersion].filter(Boolean).join(' '),
    name: graph?.name ?? '',
    inputs: (graph?.input ?? []).filter(({ name }) => !initialized.has(name)).map(valueInfo),
    outputs: (graph?.output ?? []).map(valueInfo),
    nodes: graph?.node.length ?? 0,
    ops,
    functions: model.functions.length,
    subgraphs,
    proto: model,
  };
}

/** The decoded model behind a graph that this format read. */
export const protoOf = (graph: OnnxGraph): ModelProto => graph.proto as ModelProto; // only summarize() makes graphs
