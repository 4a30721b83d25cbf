import type { NodeProto } from '../../formats/onnx/schema.js';
import { inputOf, numberOf } from '../opset/attributes.js';
import type { WorkGraph } from './work-graph.js';

/** They give something else in every run. */
const RANDOM = new Set([
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
  'Multinomial',
  'Bernoulli',
]);
/** Operators of onnxruntime that compute the same from the same values and have no other effect. */
const CONTRIB = /^com\.microsoft::(?!.*(Random|Sampling|Search|Optimizer|Gradient|MoE)).*$/;

/** True for nodes that make the same values from the same inputs, and do nothing else. */
export function isDeterministic(graph: WorkGraph, node: NodeProto): boolean {
  const op = graph.op(node);
  if (op === undefined || RANDOM.has(op)) return false;
  if (op === 'Dropout') return inputOf(node, 2) === undefined && numberOf(node, 'is_test') !== 0;
  return !op.includes('::') || op.startsWith('ai.onnx.ml::') || CONTRIB.test(op);
}
