import type { OnnxGraph, OnnxValueInfo } from '../core/graph.js';
import type { MetadataValue } from '../core/model.js';
import type { StateNode, TrainingState } from '../core/training.js';
import type { GraphEntry, JsonValue, TrainingEntry, ValueInfoEntry } from './reports.js';

/** A record without a prototype: `__proto__` is a legal key in a model file. */
export function record<T>(entries: Iterable<readonly [string, T]>): Record<string, T> {
  const out = Object.create(null) as Record<string, T>;
  for (const [key, value] of entries) out[key] = value;
  return out;
}

const integer = (value: bigint): JsonValue =>
  value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)
    ? Number(value)
    : value.toString();

/** JSON has no NaN and no infinities: they are given by name. */
const float = (value: number): JsonValue => (Number.isFinite(value) ? value : String(value));

export function metadataToJson(value: MetadataValue): JsonValue {
  if (typeof value === 'bigint') return integer(value);
  if (typeof value === 'number') return float(value);
  if (value instanceof Map) return record([...value].map(([k, v]) => [k, metadataToJson(v)] as const));
  if (Array.isArray(value)) return value.map((item: MetadataValue) => metadataToJson(item));
  return value as string | boolean | null;
}

export const metadataRecord = (metadata: ReadonlyMap<string, MetadataValue>): Record<string, JsonValue> =>
  record([...metadata].map(([key, value]) => [key, metadataToJson(value)] as const));

const valueInfo = (info: OnnxValueInfo): ValueInfoEntry => ({
  name: info.name,
  dtype: info.dtype,
  shape: info.shape ?? null,
});

export const graphToJson = (graph: OnnxGraph): GraphEntry => ({
  irVersion: graph.irVersion,
  opsets: record(graph.opsets),
  producer: graph.producer,
  inputs: graph.inputs.map(valueInfo),
  outputs: graph.outputs.map(valueInfo),
  nodes: graph.nodes,
  ops: record(graph.ops),
  functions: graph.functions,
  subgraphs: graph.subgraphs,
});

/** The key of a dict entry as text: strings as they are, numbers in decimal, tuples as Python prints them. */
export function stateKey(node: StateNode): string {
  switch (node.kind) {
    case 'string':
      return node.value;
    case 'int':
    case 'bool':
    case 'float':
      return String(node.value);
    case 'tuple':
      return `(${node.items.map(stateKey).join(', ')}${node.items.length === 1 ? ',' : ''})`;
    case 'none':
      return 'None';
    case 'opaque':
      return node.text;
    default:
      return node.kind;
  }
}

export function stateToJson(node: StateNode): JsonValue {
  switch (node.kind) {
    case 'none':
      return null;
    case 'bool':
    case 'string':
      return node.value;
    case 'int':
      return integer(node.value);
    case 'float':
      return float(node.value);
    case 'complex':
      return { re: float(node.re), im: float(node.im) };
    case 'bytes':
      return { bytes: node.value.byteLength };
    case 'list':
    case 'tuple':
    case 'set':
      return node.items.map(stateToJson);
    case 'dict':
      return record(node.entries.map(([key, value]) => [stateKey(key), stateToJson(value)] as const));
    case 'tensor':
      return { tensor: node.name };
    case 'opaque':
      return { type: node.type, text: node.text };
  }
}

export const trainingToJson = ({ tree, ...summary }: TrainingState): TrainingEntry => ({
  ...summary,
  state: stateToJson(tree),
});
