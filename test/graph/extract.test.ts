import { readFile } from 'node:fs/promises';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import type { Model } from '../../src/core/model.js';
import { create } from '../../src/formats/onnx/schema.js';
import { protoOf, summarize } from '../../src/formats/onnx/summary.js';
import { encodeModel } from '../../src/graph/build.js';
import { extract, untyped } from '../../src/graph/extract.js';
import { nearestNames } from '../../src/graph/nearest-names.js';
import { parseCut } from '../../src/graph/parse-cut.js';
import { bytesOf, openBytes } from './opset-support.js';

const fixture = async (name: string): Promise<Model> => openBytes(await readFile(`fixtures/${name}`));
const made = (model: Model): string[] =>
  (model.graph && protoOf(model.graph).graph?.node.flatMap(({ output }) => output)) ?? [];

async function run(model: Model, feeds: Record<string, Tensor>): Promise<Record<string, Tensor>> {
  const session = await InferenceSession.create(await bytesOf(model), {
    graphOptimizationLevel: 'disabled',
    logSeverityLevel: 3,
  });
  try {
    return (await session.run(feeds)) as Record<string, Tensor>;
  } finally {
    await session.release();
  }
}

describe('a part of a graph', () => {
  it('computes what the whole graph computes, from the values at the cut', async () => {
    const model = await fixture('trained/digits_cnn/model.onnx');
    const [input] = model.graph?.inputs ?? [];
    const names = made(model);
    const [from = '', to = ''] = [names[3], names.at(-3)];
    const x = new Tensor(
      'float32',
      Float32Array.from({ length: 2 * 64 }, (_, i) => Math.sin(i)),
      [2, 1, 8, 8],
    );
    const whole = await run(extract(model, { outputs: [from, to] }), { [input?.name ?? '']: x });
    const part = extract(model, { inputs: [from], outputs: [to] });
    const cut = whole[from];
    if (!cut) throw new Error('no value at the cut');
    const result = await run(part, { [from]: cut });
    expect(result[to]?.dims).toEqual(whole[to]?.dims);
    expect(result[to]?.data).toEqual(whole[to]?.data);
    expect(part.graph?.nodes).toBeLessThan(model.graph?.nodes ?? 0);
    expect(part.tensors.length).toBeLessThan(model.tensors.length);
    expect(part.metadata).toEqual(model.metadata);
  });

  it('takes out every value of graphs with branches and loops, which the runtime computes as before', async () => {
    for (const name of ['onnx/control_flow.ts17.onnx', 'onnx/if_initializers.onnx']) {
      const model = await fixture(name);
      const values = made(model).filter((one) => one !== '');
      const feeds: Record<string, Tensor> = {};
      for (const { name: input, dtype, shape = [] } of model.graph?.inputs ?? []) {
        const dims = shape.map((size) => (typeof size === 'number' ? size : 2));
        const count = dims.reduce((a, b) => a * b, 1);
        feeds[input] =
          dtype === 'bool'
            ? new Tensor('bool', new Uint8Array(count).fill(1), dims)
            : dtype === 'i64'
              ? new Tensor('int64', new BigInt64Array(count).fill(2n), dims)
              : new Tensor('float32', new Float32Array(count).fill(0.5), dims);
      }
      const whole = await run(extract(model, { outputs: values }), feeds);
      for (const value of values) {
        const part = extract(model, { outputs: [value] });
        const needed = (part.graph?.inputs ?? []).map((input) => input.name);
        const own = Object.fromEntries(needed.map((key) => [key, feeds[key]])) as Record<string, Tensor>;
        expect((await run(part, own))[value]?.data, `${name}: ${value}`).toEqual(whole[value]?.data);
      }
    }
  });

  it('keeps only the functions that are called, and those that they call', async () => {
    const value = (name: string) => ({ name, dtype: 'f32' as const, shape: [2] });
    const plain = await openBytes(
      await encodeModel({
        opset: 17,
        domains: new Map([['own', 1]]),
        inputs: [value('x')],
        nodes: [
          { op: 'Outer', domain: 'own', inputs: ['x'], outputs: ['h'] },
          { op: 'Other', domain: 'own', inputs: ['h'], outputs: ['y'] },
        ],
        outputs: [value('y')],
      }),
    );
    const body = (name: string, op: string, domain: string) =>
      create('FunctionProto', {
        name,
        domain: 'own',
        input: ['a'],
        output: ['b'],
        opsetImport: [
          create('OperatorSetIdProto', { domain: '', version: 17n }),
          create('OperatorSetIdProto', { domain: 'own', version: 1n }),
        ],
        node: [create('NodeProto', { opType: op, domain, input: ['a'], output: ['b'] })],
      });
    if (!plain.graph) throw new Error('no graph');
    const functions = [body('Other', 'Neg', ''), body('Inner', 'Exp', ''), body('Outer', 'Inner', 'own')];
    const model = { ...plain, graph: summarize({ ...protoOf(plain.graph), functions }) };
    const known = new Map([['h', value('h')]]);
    const part = extract(model, { outputs: ['h'] }, known);
    expect(part.graph && protoOf(part.graph).functions.map(({ name }) => name)).toEqual(['Inner', 'Outer']);
    const results = await run(part, { x: new Tensor('float32', [0, 1], [2]) });
    expect(results['h']?.data).toEqual(Float32Array.of(1, Math.E));
  });

  it('says which values are unknown, missing, or not needed', async () => {
    const model = await openBytes(
      await encodeModel({
        opset: 17,
        inputs: [
          { name: 'left', dtype: 'f32', shape: ['n', 4] },
          { name: 'right', dtype: 'f32', shape: ['n', 4] },
        ],
        nodes: [
          { op: 'Relu', inputs: ['left'], outputs: ['left_relu'] },
          { op: 'Neg', inputs: ['right'], outputs: ['right_neg'] },
          { op: 'Add', inputs: ['left_relu', 'right_neg'], outputs: ['sum'] },
        ],
        outputs: [{ name: 'sum', dtype: 'f32', shape: ['n', 4] }],
      }),
    );
    expect(() => extract(model, { outputs: ['left_rely'] })).toThrow(
      expect.objectContaining({ code: 'E_NOT_FOUND', hint: expect.stringContaining('"left_relu"') }),
    );
    expect(() => extract(model, { inputs: ['left'], outputs: ['sum'] })).toThrow(
      expect.objectContaining({ code: 'E_USAGE', details: { output: 'sum', missing: ['right'] } }),
    );
    expect(() => extract(model, { inputs: ['left', 'right'], outputs: ['left_relu'] })).toThrow(
      expect.objectContaining({ code: 'E_USAGE', message: expect.stringContaining('"right"') }),
    );
    expect(() => extract(model, { outputs: ['left'] })).toThrow(/no node would be left/);
    expect(extract(model, { inputs: ['left_relu', 'right'], outputs: ['sum'] }).graph).toMatchObject({
      nodes: 2,
      inputs: [
        { name: 'left_relu', dtype: 'f32', shape: [null, 4] },
        { name: 'right', dtype: 'f32', shape: ['n', 4] },
      ],
    });
  });

  it('asks for the types that only the runtime knows', async () => {
    const model = await openBytes(
      await encodeModel({
        opset: 17,
        domains: new Map([['com.microsoft', 1]]),
        inputs: [{ name: 'x', dtype: 'f32', shape: [2, 3] }],
        nodes: [
          { op: 'FastGelu', domain: 'com.microsoft', inputs: ['x'], outputs: ['gelu'] },
          { op: 'Relu', inputs: ['gelu'], outputs: ['y'] },
        ],
        outputs: [{ name: 'y', dtype: 'f32', shape: [2, 3] }],
      }),
    );
    const cut = { inputs: ['gelu'], outputs: ['y'] };
    expect(untyped(model, cut)).toEqual(['gelu']);
    expect(() => extract(model, cut)).toThrow(expect.objectContaining({ code: 'E_UNSUPPORTED' }));
    const known = new Map([['gelu', { name: 'gelu', dtype: 'f32', shape: [2, 3] }]]);
    expect(extract(model, cut, known).graph?.inputs).toEqual([{ name: 'gelu', dtype: 'f32', shape: [2, 3] }]);
  });
});

describe('names on the command line', () => {
  it('finds the colon between inputs and outputs, in names that have some', async () => {
    const model = await openBytes(
      await encodeModel({
        opset: 17,
        inputs: [{ name: 'x:0', dtype: 'f32', shape: [1] }],
        nodes: [
          { op: 'Relu', inputs: ['x:0'], outputs: ['a,b'] },
          { op: 'Neg', inputs: ['a,b'], outputs: ['y:0'] },
        ],
        outputs: [{ name: 'y:0', dtype: 'f32', shape: [1] }],
      }),
    );
    expect(parseCut('x:0:y:0', model)).toEqual({ inputs: ['x:0'], outputs: ['y:0'] });
    expect(parseCut('x:0:a,b,y:0', model)).toEqual({ inputs: ['x:0'], outputs: ['a,b', 'y:0'] });
    expect(parseCut(':a,b', model)).toEqual({ outputs: ['a,b'] });
    expect(parseCut('a,b:', model)).toEqual({ inputs: ['a,b'], outputs: ['y:0'] });
    expect(() => parseCut('sum', model)).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
  });

  it('ranks what looks like a name', () => {
    const names = ['/layer1/Conv_output_0', '/layer2/Conv_output_0', '/layer2/Relu_output_0', 'input'];
    expect(nearestNames('/layer2/conv_output', names)[0]).toBe('/layer2/Conv_output_0');
    expect(nearestNames('inptu', names)).toEqual(['input']);
    expect(nearestNames('zzzzzzzz', names)).toEqual([]);
  });
});
