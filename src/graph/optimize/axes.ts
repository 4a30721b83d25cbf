import type { NodeProto } from '../../formats/onnx/schema.js';
import { inputOf, intsOf } from '../opset/attributes.js';
import { opsetOf } from './rewritten.js';
import type { WorkGraph } from './work-graph.js';

/** What Squeeze, Unsqueeze and reductions name: an attribute, or a constant; undefined if there is none or it is not known. */
export async function axesOf(graph: WorkGraph, node: NodeProto): Promise<readonly number[] | undefined> {
  const attribute = intsOf(node, 'axes');
  if (attribute) return attribute.map(Number);
  return (await graph.value(inputOf(node, 1)))?.numbers;
}

/** Axes counted from the beginning; undefined if one is out of range. */
export function normalized(axes: readonly number[], rank: number): readonly number[] | undefined {
  const all = axes.map((axis) => (axis < 0 ? axis + rank : axis));
  return all.every((axis) => axis >= 0 && axis < rank) ? all : undefined;
}

/** Squeeze and Unsqueeze took their axes as an attribute before operator set 13. */
export const axesAreInputs = (graph: WorkGraph): boolean => opsetOf(graph) >= 13;
