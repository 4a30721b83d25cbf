import { describe, expect, it } from 'vitest';
import type { DType } from '../../src/core/dtype.js';
import type { Model } from '../../src/core/model.js';
import { memoryTensor, readTensor } from '../../src/core/tensor.js';
import { reader } from '../../src/formats/onnx/reader.js';
import { encodeModel } from '../../src/graph/build.js';
import { rebind } from '../../src/graph/rebind.js';
import { memoryFiles } from '../support/memory-files.js';

const tensor = (name: string, dtype: DType, shape: readonly number[], fill: number) =>
  memoryTensor(
    { name, dtype, shape },
    new Uint8Array(shape.reduce((a, b) => a * b, dtype === 'f32' ? 4 : 8)).fill(fill),
  );
const weights = (...tensors: Model['tensors']): Model => ({
  format: 'safetensors',
  tensors,
  aliases: new Map(),
  metadata: new Map([['from', 'weights']]),
  findings: [],
});

async function base(): Promise<Model> {
  const bytes = await encodeModel({
    opset: 17,
    inputs: [{ name: 'x', dtype: 'f32', shape: [2, 2] }],
    outputs: [{ name: 'y', dtype: 'f32', shape: [2, 2] }],
    nodes: [{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }],
    initializers: [
      { name: 'w', dtype: 'f32', shape: [2, 2], raw: new Uint8Array(16) },
      { name: 'bias', dtype: 'f32', shape: [2], raw: new Uint8Array(8) },
      { name: 'axes', dtype: 'i64', shape: [1], raw: new Uint8Array(8) },
    ],
  });
  return reader.read(memoryFiles('m.onnx', new Map([['m.onnx', bytes]])), {});
}
const codes = (found: ReturnType<typeof rebind>) =>
  found.findings.map(({ code, severity, subject }) => [code, severity, subject]);

describe('rebind', () => {
  it('puts new weights into the graph by name', async () => {
    const found = rebind(await base(), weights(tensor('bias', 'f32', [2], 2), tensor('w', 'f32', [2, 2], 1)));
    expect(codes(found)).toEqual([['REBIND_KEPT', 'info', 'graph']]);
    expect(found.model.format).toBe('onnx');
    expect(found.model.metadata.has('from')).toBe(false);
    const values = await Promise.all(found.model.tensors.map(readTensor));
    expect(values.map((bytes) => bytes[0])).toEqual([1, 2, 0]);
  });

  it('lists what is missing and what is left over', async () => {
    const found = rebind(
      await base(),
      weights(tensor('w', 'f32', [2, 2], 1), tensor('extra', 'f32', [1], 1)),
    );
    expect(codes(found)).toEqual([
      ['REBIND_MISSING', 'warning', 'bias'],
      ['REBIND_LEFT_OVER', 'warning', 'extra'],
      ['REBIND_KEPT', 'info', 'graph'],
    ]);
  });

  it('refuses another shape, another type, and weights of another model', async () => {
    const shape = rebind(await base(), weights(tensor('w', 'f32', [4], 1), tensor('bias', 'f32', [2], 1)));
    expect(codes(shape)[0]).toEqual(['REBIND_SHAPE', 'error', 'w']);
    const type = rebind(await base(), weights(tensor('w', 'f64', [2, 2], 1), tensor('bias', 'f32', [2], 1)));
    expect(codes(type)[0]).toEqual(['REBIND_DTYPE', 'error', 'w']);
    const other = rebind(await base(), weights(tensor('else', 'f32', [4], 1)));
    expect(codes(other).at(-1)).toEqual(['REBIND_NOTHING', 'error', 'graph']);
  });

  it('needs a graph', () => {
    expect(() => rebind(weights(), weights())).toThrow(/without a graph/);
  });
});
