import { memoryTensor, type TensorSource } from '../../core/tensor.js';
import { onnxType } from '../../formats/onnx/dtypes.js';
import { contentOf } from '../../formats/onnx/origins.js';
import type { NodeProto } from '../../formats/onnx/schema.js';
import { internalTensor } from '../../formats/onnx/tensor-data.js';
import { tensorFacts } from '../../formats/onnx/tensor-facts.js';
import { constantBytes } from '../opset/constant-value.js';
import type { Scope } from '../opset/scope.js';

/** CastLike says the type of its second input, which is known here. A Cast of f32 to f32 is none. */
export function plainCast(node: NodeProto, scope: Scope): NodeProto {
  if (node.opType !== 'Cast' && node.opType !== 'CastLike') return node;
  const to = node.attribute.find(({ name }) => name === 'to')?.i;
  const target = node.opType === 'Cast' ? onnxType(Number(to ?? 0n))?.dtype : scope.type(node.input[1]);
  if (target !== 'f32') return node;
  if (scope.type(node.input[0]) === 'f32')
    return { ...node, opType: 'Identity', input: node.input.slice(0, 1), attribute: [] };
  return { ...node, opType: 'Cast', input: node.input.slice(0, 1) };
}

/** The tensor of a Constant, or the filling of a ConstantOfShape (0 without one). */
export async function contentOfConstant(node: NodeProto): Promise<TensorSource | undefined> {
  const name = node.output[0] ?? '';
  const [value] = node.attribute.filter((attribute) => attribute.name !== 'doc_string');
  if (value?.t)
    return value.t.dataLocation === 1
      ? contentOf(value.t)
      : internalTensor(value.t, tensorFacts(value.t, name, 'graph'));
  const numbers = value?.f === undefined ? (value?.floats ?? [0]) : [value.f];
  const shape = value?.f === undefined ? [numbers.length] : [];
  return memoryTensor({ name, dtype: 'f32', shape }, constantBytes('f32', numbers));
}
