import { memoryTensor, type TensorSource } from '../../core/tensor.js';
import type { NodeProto } from '../../formats/onnx/schema.js';
import { internalTensor } from '../../formats/onnx/tensor-data.js';
import { tensorFacts } from '../../formats/onnx/tensor-facts.js';
import { constantBytes } from '../opset/constant-value.js';

/** The value of a Constant under the name of its output; undefined for text and sparse tensors. */
export async function constantOf(node: NodeProto, name: string): Promise<TensorSource | undefined> {
  const value = node.attribute.find((attribute) => attribute.name === 'value')?.t;
  if (!value) return plainConstant(node, name);
  const tensor = await internalTensor(value, tensorFacts(value, name, 'graph'));
  return { ...tensor, info: { ...tensor.info, name } };
}

/** The numbers of a Constant that are given in an attribute. */
function plainConstant(node: NodeProto, name: string): TensorSource | undefined {
  for (const attribute of node.attribute) {
    const { i, f, ints, floats } = attribute;
    switch (attribute.name) {
      case 'value_int':
        return memoryTensor({ name, dtype: 'i64', shape: [] }, constantBytes('i64', [i ?? 0n]), 'constant');
      case 'value_ints':
        return memoryTensor(
          { name, dtype: 'i64', shape: [ints.length] },
          constantBytes('i64', ints),
          'constant',
        );
      case 'value_float':
        return memoryTensor({ name, dtype: 'f32', shape: [] }, constantBytes('f32', [f ?? 0]), 'constant');
      case 'value_floats':
        return memoryTensor(
          { name, dtype: 'f32', shape: [floats.length] },
          constantBytes('f32', floats),
          'constant',
        );
    }
  }
  return undefined;
}
