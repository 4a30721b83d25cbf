import { memoryTensor, type TensorSource } from '../../core/tensor.js';
import type { NodeProto } from '../../formats/onnx/schema.js';
import { constantBytes } from '../opset/constant-value.js';

/** The value of a Constant that is given as numbers in an attribute; undefined for text and sparse tensors. */
export function plainConstant(node: NodeProto, name: string): TensorSource | undefined {
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
