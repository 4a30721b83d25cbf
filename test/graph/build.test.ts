import { describe, expect, it } from 'vitest';
import { readTensor } from '../../src/core/tensor.js';
import { reader } from '../../src/formats/onnx/reader.js';
import { encodeModel, type ModelDescription } from '../../src/graph/build.js';
import { memoryFiles } from '../support/memory-files.js';

const floats = (...values: readonly number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
const description: ModelDescription = {
  opset: 17,
  domains: new Map([['my.own', 3]]),
  irVersion: 8,
  inputs: [{ name: 'x', dtype: 'f32', shape: ['n', 2] }],
  outputs: [{ name: 'y', dtype: 'f32', shape: ['n', 2] }],
  nodes: [
    { op: 'MatMul', inputs: ['x', 'w'], outputs: ['h'] },
    { op: 'LeakyRelu', inputs: ['h'], outputs: ['u'], attributes: { alpha: 0.5 } },
    { op: 'Transpose', inputs: ['u'], outputs: ['t'], attributes: { perm: [0n, 1n] } },
    { op: 'Add', inputs: ['t', 'c'], outputs: ['y'] },
    {
      op: 'Constant',
      inputs: [],
      outputs: ['unused'],
      attributes: { value: { name: 'v', dtype: 'i64', shape: [1], raw: new Uint8Array(8) } },
    },
  ],
  initializers: [
    { name: 'w', dtype: 'f32', shape: [2, 2], raw: floats(1, 2, 3, 4) },
    { name: 'c', dtype: 'f32', shape: [2], external: { location: 'c.bin', offset: 4, length: 8 } },
  ],
};

describe('encodeModel', () => {
  it('makes a model that the reader accepts', async () => {
    const files = new Map([
      ['m.onnx', await encodeModel(description)],
      ['c.bin', floats(0, 5, 6)],
    ]);
    const model = await reader.read(memoryFiles('m.onnx', files), {});
    expect(model.findings).toEqual([]);
    expect(model.graph).toMatchObject({
      irVersion: 8,
      inputs: [{ name: 'x', dtype: 'f32', shape: ['n', 2] }],
      nodes: 5,
      producer: 'mlser',
    });
    expect([...(model.graph?.opsets ?? [])]).toEqual([
      ['', 17],
      ['my.own', 3],
    ]);
    expect(await readTensor(model.tensors[1]!)).toEqual(floats(5, 6));
  });

  it('makes a model that the runtime runs', async () => {
    const { InferenceSession, Tensor } = await import('onnxruntime-node');
    const inline = {
      ...description,
      initializers: [
        description.initializers![0]!,
        { name: 'c', dtype: 'f32' as const, shape: [2], raw: floats(5, 6) },
      ],
    };
    const session = await InferenceSession.create(await encodeModel(inline));
    const { y } = await session.run({ x: new Tensor('float32', [1, -1], [1, 2]) });
    expect([...(y!.data as Float32Array)]).toEqual([4, 5]);
  });

  it('refuses bytes that do not fit and types that ONNX lacks', async () => {
    const wrong = {
      ...description,
      initializers: [{ name: 'w', dtype: 'f32' as const, shape: [3], raw: floats(1) }],
    };
    await expect(encodeModel(wrong)).rejects.toMatchObject({ code: 'E_USAGE' });
    const block = { ...description, inputs: [{ name: 'x', dtype: 'q4_0' as const, shape: [32] }] };
    await expect(encodeModel(block)).rejects.toMatchObject({ code: 'E_UNSUPPORTED' });
  });
});
