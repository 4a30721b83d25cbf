import type { Model } from '../../src/core/model.js';
import { readTensor } from '../../src/core/tensor.js';
import { encodeModel } from '../../src/graph/build.js';

/** A graph (y = x) whose initializers are the tensors of the model. */
export async function encodeSampleGraph(model: Model): Promise<Uint8Array> {
  const initializers = await Promise.all(
    model.tensors.map(async (tensor) => ({ ...tensor.info, raw: await readTensor(tensor) })),
  );
  return encodeModel({
    opset: 21,
    nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
    inputs: [{ name: 'x', dtype: 'f32', shape: [1] }],
    outputs: [{ name: 'y', dtype: 'f32', shape: [1] }],
    initializers,
  });
}
