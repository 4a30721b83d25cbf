import { elementCount } from '../core/dtype.js';
import { type Model, tensorMap } from '../core/model.js';
import type { TensorSource } from '../core/tensor.js';
import { initializersOf } from '../formats/onnx/graphs.js';
import { rewriteTensors } from '../formats/onnx/rewrite.js';
import { create, type SparseTensorProto, type TensorProto } from '../formats/onnx/schema.js';
import { protoOf } from '../formats/onnx/summary.js';
import { sourcesOf, withProto } from './opset.js';

export interface Dense {
  readonly model: Model;
  /** Values that each of those had that were sparse. */
  readonly values: ReadonlyMap<string, number>;
}

/**
 * The model with sparse initializers whose names are chosen as plain ones of the same values: for what rewrites weights, which
 * looks for them among those.
 */
export function withDenseInitializers(model: Model, chosen: (name: string) => boolean): Dense {
  const values = new Map<string, number>();
  if (!model.graph) return { model, values };
  const proto = protoOf(model.graph);
  const tensors = tensorMap(model);
  const dense = new Map<SparseTensorProto, TensorProto>();
  const made = new Map<TensorProto, TensorSource>();
  for (const initializer of initializersOf(proto)) {
    if (!('sparse' in initializer) || !chosen(initializer.name)) continue;
    const { sparse, name } = initializer;
    const tensor = tensors.get(name);
    const stored = sparse.values;
    if (!tensor || !stored) continue;
    const message = create('TensorProto', {
      ...{ name: stored.name, dataType: stored.dataType },
      dims: tensor.info.shape.map(BigInt),
    });
    dense.set(sparse, message);
    made.set(message, tensor);
    values.set(name, elementCount((stored.dims ?? []).map(Number), name));
  }
  if (dense.size === 0) return { model, values };
  const next = rewriteTensors(proto, {
    initializer: (tensor) => tensor,
    sparseInitializer: (one) => {
      const plain = dense.get(one);
      return plain ? { dense: plain } : one;
    },
    other: (tensor) => tensor,
  });
  return { model: withProto(model, next, new Map([...sourcesOf(model, proto), ...made])), values };
}
