import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { memoryTensor } from '../../../src/core/tensor.js';
import { encodeModel, type ModelDescription } from '../../../src/graph/build.js';
import { type QuantizeOptions, quantizeModel } from '../../../src/operations/quantize/quantize.js';
import type { QuantizeReport } from '../../../src/operations/quantize/report.js';
import { sensitivityOf } from '../../../src/operations/quantize/sensitivity.js';
import { testContext } from '../../support/context.js';
import { codes, modelOf, scratch, write } from '../../validate/support.js';

const TRAINED = fileURLToPath(new URL('../../../fixtures/trained/', import.meta.url));
const { at, remove } = scratch();
afterAll(remove);

/** All of them: how fast the outcome is does not matter here, and is not measured then. */
const only = (): boolean => true;
const quantize = (
  input: string,
  output: string,
  options: Partial<QuantizeOptions>,
  threads = 1,
): Promise<QuantizeReport> =>
  quantizeModel(
    input,
    at(output),
    {
      scheme: 'int4-weights',
      validate: 'run',
      device: 'cpu',
      force: true,
      tolerance: Number.MAX_VALUE,
      only,
      ...options,
    },
    testContext(threads),
  );

/** 1 − cosine of the worst output on samples that calibration did not see. */
const loss = ({ validation }: QuantizeReport): number => {
  expect(validation.passed).toBe(true);
  return Math.max(...(validation.run?.outputs ?? []).map(({ cosine }) => 1 - (cosine ?? 0)));
};

describe('GPTQ of trained classifiers', () => {
  const cases = [
    { model: 'digits_mlp', scheme: 'int8-weights', block: 64, symmetric: false },
    { model: 'digits_mlp', scheme: 'int4-weights' },
    { model: 'digits_mlp', scheme: 'int4-weights', perChannel: true },
    { model: 'digits_mlp', scheme: 'int2-weights', symmetric: false },
    { model: 'digits_cnn', scheme: 'int8-weights' },
    { model: 'digits_cnn', scheme: 'int4-weights' },
    { model: 'digits_cnn', scheme: 'int4-weights', block: 64, symmetric: false, operators: false },
    { model: 'digits_cnn', scheme: 'int4-weights', method: 'minmax' as const },
  ].map(({ model, ...options }) => ({ model, options, title: [model, ...Object.values(options)].join(' ') }));
  it.each(cases)('$title: outputs are nearer than with nearest integers', async ({ model, options }) => {
    const file = (name: string): string => path.join(TRAINED, model, name);
    const data = { inputs: file('test.npz'), labels: 'y', calibration: file('calib.npz') };
    const plain = await quantize(file('model.onnx'), 'plain.onnx', { ...data, ...options });
    const refined = await quantize(file('model.onnx'), 'gptq.onnx', { ...data, ...options, refine: 'gptq' });
    expect(loss(refined)).toBeLessThan(loss(plain) * 0.75);
    // Blocks of Conv do not lie along what is summed over: that is told, and such weights are rounded as usual.
    const told = codes(refined.findings).filter((code) => code !== 'NOT_COMPENSATED');
    expect(told).toEqual(codes(plain.findings));
    // The same is stored: only the integers and scales differ.
    const stored = (report: QuantizeReport) =>
      report.tensors.map(({ name, action, dtypeOut, bytesOut }) => [name, action, dtypeOut, bytesOut]);
    expect(stored(refined)).toEqual(stored(plain));
  });

  it.each(['gptq', 'awq'] as const)(
    'of half precision, by %s: scales are f16, and outputs are nearer',
    async (refine) => {
      const file = (name: string): string => path.join(TRAINED, 'digits_mlp', name);
      await quantize(file('model.onnx'), 'half.onnx', { scheme: 'fp16' });
      const data = { inputs: file('test.npz'), calibration: file('calib.npz') };
      const plain = await quantize(at('half.onnx'), 'plain.onnx', data);
      const refined = await quantize(at('half.onnx'), 'refined.onnx', { ...data, refine });
      expect(refined.tensors.filter(({ action }) => action === 'int4-weights').length).toBe(3);
      expect(loss(refined)).toBeLessThan(loss(plain) * 0.75);
    },
  );

  it('gives the same bytes at any number of threads', async () => {
    const file = (name: string): string => path.join(TRAINED, 'digits_cnn', name);
    const options = { calibration: file('calib.npz'), refine: 'gptq', validate: 'structure' } as const;
    await quantize(file('model.onnx'), 'one.onnx', options, 1);
    await quantize(file('model.onnx'), 'two.onnx', options, 2);
    expect(readFileSync(at('one.onnx')).equals(readFileSync(at('two.onnx')))).toBe(true);
  });
});

const f32 = (name: string, shape: readonly number[], numbers: Float32Array) => ({
  ...{ name, dtype: 'f32' as const, shape },
  raw: new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength),
});
const wave = (count: number, seed: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => ((Math.sin((i + 1) * 12.9898 + seed) * 43758.5453) % 1) / 4);

/** Samples in which every column is most of its neighbours. */
async function samples(name: string, rows: number, size: number): Promise<string> {
  const noise = wave(rows * size, 5);
  const x = new Float32Array(rows * size);
  for (let r = 0; r < rows; r++)
    for (let k = 0, last = 0; k < size; k++) {
      last = 0.9 * last + (noise[r * size + k] ?? 0);
      x[r * size + k] = last;
    }
  const tensor = memoryTensor({ name: 'x', dtype: 'f32', shape: [rows, size] }, new Uint8Array(x.buffer));
  await write(modelOf([tensor]), at(name), 'npz');
  return at(name);
}

async function model(name: string, description: Partial<ModelDescription>): Promise<string> {
  const graph = { opset: 21, nodes: [], inputs: [], outputs: [], ...description };
  writeFileSync(at(name), await encodeModel(graph));
  return at(name);
}

describe('GPTQ of made-up layers', () => {
  const [rows, size, outputs] = [300, 96, 40];
  const io = {
    inputs: [{ name: 'x', dtype: 'f32' as const, shape: ['n', size] }],
    outputs: [{ name: 'y', dtype: 'f32' as const, shape: ['n', outputs] }],
  };
  const layers = {
    MatMul: {
      nodes: [{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }],
      initializers: [f32('w', [size, outputs], wave(size * outputs, 1))],
    },
    Gemm: {
      nodes: [{ op: 'Gemm', inputs: ['x', 'w'], outputs: ['y'], attributes: { transB: 1n } }],
      initializers: [f32('w', [outputs, size], wave(size * outputs, 2))],
    },
    'MatMul of two values': {
      nodes: [
        { op: 'Relu', inputs: ['x'], outputs: ['r'] },
        { op: 'MatMul', inputs: ['x', 'w'], outputs: ['a'] },
        { op: 'MatMul', inputs: ['r', 'w'], outputs: ['b'] },
        { op: 'Add', inputs: ['a', 'b'], outputs: ['y'] },
      ],
      initializers: [f32('w', [size, outputs], wave(size * outputs, 3))],
    },
  };

  it.each([
    ['MatMul', 'int8-weights'],
    ['MatMul', 'int2-weights'],
    ['Gemm', 'int4-weights'],
    ['MatMul of two values', 'int4-weights'],
  ] as const)('%s, %s, correlated inputs: a fraction of the error', async (name, scheme) => {
    const file = await model(`${name}.onnx`, { ...io, ...layers[name] });
    const calibration = await samples('many.npz', rows, size);
    const plain = await quantize(file, 'plain.onnx', { scheme, calibration });
    const refined = await quantize(file, 'gptq.onnx', { scheme, calibration, refine: 'gptq' });
    expect(loss(refined)).toBeLessThan(loss(plain) * 0.65);
  });

  it('leaves what has no such inputs to the nearest integers, and tells of it', async () => {
    const file = await model('odd.onnx', {
      ...{ inputs: io.inputs, outputs: [{ name: 'y', dtype: 'f32' as const, shape: [size, outputs] }] },
      nodes: [{ op: 'Gemm', inputs: ['x', 'w'], outputs: ['y'], attributes: { transA: 1n, transB: 1n } }],
      initializers: [f32('w', [outputs, rows], wave(rows * outputs, 4))],
    });
    const calibration = await samples('many.npz', rows, size);
    const { findings, tensors } = await quantize(file, 'odd-out.onnx', { calibration, refine: 'gptq' });
    expect(codes(findings)).toContain('NOT_COMPENSATED');
    expect(tensors.map(({ name, action }) => [name, action])).toEqual([['w', 'int4-weights']]);
  });

  it('tells where samples give no finite numbers', async () => {
    const file = await model('log.onnx', {
      ...io,
      nodes: [
        { op: 'Log', inputs: ['x'], outputs: ['l'] },
        { op: 'MatMul', inputs: ['l', 'w'], outputs: ['y'] },
      ],
      initializers: [f32('w', [size, outputs], wave(size * outputs, 1))],
    });
    const calibration = await samples('many.npz', rows, size);
    const { findings } = await quantize(file, 'log-out.onnx', {
      ...{ calibration, refine: 'gptq', validate: 'structure' },
    });
    expect(codes(findings)).toContain('NOT_COMPENSATED');
  });

  it('makes sense of inputs that are always zero', async () => {
    const file = await model('zero.onnx', { ...io, ...layers.MatMul });
    const x = new Float32Array(20 * size);
    const tensor = memoryTensor({ name: 'x', dtype: 'f32', shape: [20, size] }, new Uint8Array(x.buffer));
    await write(modelOf([tensor]), at('zeros.npz'), 'npz');
    const data = { calibration: at('zeros.npz'), refine: 'gptq' } as const;
    const refined = await quantize(file, 'zero-out.onnx', data);
    const plain = await quantize(file, 'plain.onnx', {});
    expect(refined.tensors[0]?.error?.sqnrDb).toBeCloseTo(plain.tensors[0]?.error?.sqnrDb ?? 0, 1);
  });
});

describe('HQQ of trained classifiers', () => {
  it.each([
    { model: 'digits_mlp', scheme: 'int4-weights' },
    { model: 'digits_mlp', scheme: 'int2-weights', operators: false },
    { model: 'digits_cnn', scheme: 'int4-weights' },
  ])('$model $scheme: every weight is nearer than between its ends', async ({ model, ...options }) => {
    const file = (name: string): string => path.join(TRAINED, model, name);
    const plain = await quantize(file('model.onnx'), 'plain.onnx', { ...options, symmetric: false });
    const refined = await quantize(file('model.onnx'), 'hqq.onnx', { ...options, refine: 'hqq' });
    const noise = ({ tensors }: QuantizeReport): number[] => tensors.map(({ error }) => error?.rmse ?? 0);
    const [before, after] = [noise(plain), noise(refined)];
    expect(after.every((rmse, i) => rmse <= (before[i] ?? 0))).toBe(true);
    const share = options.scheme === 'int2-weights' ? 0.9 : 0.97;
    expect(after.some((rmse, i) => rmse > 0 && rmse < (before[i] ?? 0) * share)).toBe(true);
    expect(refined.bytesOut).toBe(plain.bytesOut);
  });
});

describe('refinements are refused', () => {
  const input = path.join(TRAINED, 'digits_mlp/model.onnx');
  const calibration = path.join(TRAINED, 'digits_mlp/calib.npz');
  it.each([
    ['without samples', { refine: 'gptq' }, /--refine gptq needs samples/],
    ['where what they move is held', { refine: 'hqq', symmetric: true }, /moves zero points/],
    ['by schemes that have none', { refine: 'gptq', calibration, scheme: 'fp16' }, /is not for fp16/],
  ] as const)('%s', async (_, options, message) => {
    const error = { code: 'E_USAGE', message: expect.stringMatching(message) };
    await expect(quantize(input, 'no.onnx', options)).rejects.toMatchObject(error);
    const asked = { scheme: 'int4-weights', validate: 'run', device: 'cpu', ...options } as const;
    await expect(sensitivityOf(input, asked, testContext(1))).rejects.toMatchObject(error);
  });

  it('for models without a graph', async () => {
    const weights = path.join(TRAINED, 'digits_mlp/model.safetensors');
    await expect(quantize(weights, 'no.safetensors', { refine: 'gptq', calibration })).rejects.toMatchObject({
      code: 'E_USAGE',
      message: expect.stringMatching(/needs a graph/),
    });
  });
});
