import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Model } from '../../src/core/model.js';
import { reader } from '../../src/formats/onnx/reader.js';
import { skeletonBytes } from '../../src/formats/onnx/skeleton.js';
import { memoryFiles } from '../support/memory-files.js';

type Results = InferenceSession.OnnxValueMapType;

export const openBytes = (bytes: Uint8Array): Promise<Model> =>
  reader.read(memoryFiles('m.onnx', new Map([['m.onnx', bytes]])), {});

/** The whole model as it would be written. */
export const bytesOf = (model: Model): Promise<Uint8Array> => skeletonBytes(model, () => undefined);

/** Results of a model with one float input `x`: always the same numbers between -1 and 1. */
export async function runOn(bytes: Uint8Array, shape: readonly number[]): Promise<Results> {
  const session = await InferenceSession.create(bytes, { logSeverityLevel: 3 });
  try {
    const size = shape.reduce((a, b) => a * b, 1);
    const data = Float32Array.from({ length: size }, (_, i) => Math.sin(i * 1.7 + 0.3));
    return await session.run({ x: new Tensor('float32', data, [...shape]) });
  } finally {
    await session.release();
  }
}

/** Largest difference between two sets of results; throws where their shapes or types differ. */
export function difference(a: Results, b: Results): number {
  let worst = 0;
  for (const [name, value] of Object.entries(a)) {
    const other = b[name];
    if (!(value instanceof Tensor) || !(other instanceof Tensor)) throw new Error(`${name} is missing`);
    if (value.type !== other.type || value.dims.join() !== other.dims.join())
      throw new Error(`${name}: ${value.type} [${value.dims}] and ${other.type} [${other.dims}]`);
    const [left, right] = [value.data, other.data];
    for (let i = 0; i < left.length; i++)
      worst = Math.max(worst, Math.abs(Number(left[i]) - Number(right[i])));
  }
  return worst;
}
