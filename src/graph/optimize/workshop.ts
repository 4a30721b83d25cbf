import type { TensorSource } from '../../core/tensor.js';
import type { NodeProto, SparseTensorProto, TensorProto } from '../../formats/onnx/schema.js';
import type { FreshNames } from '../opset/constants-made.js';
import type { Scope } from '../opset/scope.js';

/** What all graphs of a model share while it is rewritten. */
export interface Workshop {
  readonly names: FreshNames;
  readonly sources: Map<TensorProto | SparseTensorProto, TensorSource>;
  readonly opsets: Map<string, number>;
  readonly scopes: ReadonlyMap<unknown, Scope>;
  /** Before IR 4 initializers are listed as inputs, and cannot be fed for all that. */
  readonly formal: boolean;
  /** False for nodes that a function of the model stands for. */
  isOperator(node: NodeProto): boolean;
}
