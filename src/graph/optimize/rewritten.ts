import type { NodeProto } from '../../formats/onnx/schema.js';
import { type AttributeValue, attributeProto } from '../build.js';
import type { WorkGraph } from './work-graph.js';

/** A node that computes the first output of another one in another way; its name stays. */
export const rewritten = (
  node: NodeProto,
  opType: string,
  input: readonly string[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
): NodeProto => ({
  ...node,
  opType,
  domain: undefined,
  input,
  output: node.output.slice(0, 1),
  attribute: Object.entries(attributes).map(([name, value]) => attributeProto(name, value)),
});

/** The version of the standard operators. */
export const opsetOf = (graph: WorkGraph): number => graph.shop.opsets.get('') ?? 0;
