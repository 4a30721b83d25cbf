import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { memoryTensor } from '../../../src/core/tensor.js';
import type { ModelDescription, NodeDescription } from '../../../src/graph/build.js';
import { smoothed } from '../../../src/graph/quantize/smooth.js';
import type { Prepared, QuantizeSettings } from '../../../src/graph/quantize/types.js';
import { withModel } from '../../../src/operations/open.js';
import { layerFeeds } from '../../../src/operations/quantize/calibration/grams.js';
import { type QuantizeOptions, quantizeModel } from '../../../src/operations/quantize/quantize.js';
import type { QuantizeReport } from '../../../src/operations/quantize/report.js';
import { f32, fed, opsOf, settings, Workshop } from '../../graph/quantize/static-support.js';
import { testContext } from '../../support/context.js';
import { codes, modelOf, write } from '../../validate/support.js';

const shop = new Workshop();
afterAll(() => shop.remove());

const [ROWS, SIZE, WIDTH] = [160, 48, 32];

/** Between −1 and 1 without a pattern. */
const noise = (count: number, seed: number): number[] =>
  Array.from({ length: count }, (_, i) => (Math.sin((i + 1) * 12.9898 + seed) * 43758.5453) % 1);

/** A few channels are a hundred times as large as the others. */
const loud = (k: number): number => (k % 16 === 3 ? 100 : 1);

/** Samples with loud channels; a file with them. */
async function samples(scaled: boolean): Promise<{ file: string; x: number[] }> {
  const x = noise(ROWS * SIZE, 1).map((value, i) => value * (scaled ? loud(i % SIZE) : 1));
  const file = shop.at(scaled ? 'loud.npz' : 'even.npz');
  const bytes = new Uint8Array(Float32Array.from(x).buffer);
  await write(modelOf([memoryTensor({ name: 'x', dtype: 'f32', shape: [ROWS, SIZE] }, bytes)]), file, 'npz');
  return { file, x };
}

const model = (nodes: readonly NodeDescription[], more: Partial<ModelDescription> = {}): Promise<string> =>
  shop.model({
    ...{ opset: 17, nodes },
    inputs: [{ name: 'x', dtype: 'f32', shape: ['n', SIZE] }],
    outputs: [{ name: 'y', dtype: 'f32', shape: ['n', WIDTH] }],
    initializers: [
      f32('w', [SIZE, WIDTH], noise(SIZE * WIDTH, 2)),
      f32('v', [SIZE, WIDTH], noise(SIZE * WIDTH, 3)),
      f32('t', [WIDTH, SIZE], noise(SIZE * WIDTH, 4)),
      f32(
        'square',
        [SIZE, SIZE],
        noise(SIZE * SIZE, 5).map((w, i) => w * loud(i % SIZE)),
      ),
      f32(
        'turned',
        [SIZE, SIZE],
        noise(SIZE * SIZE, 6).map((w, i) => w * loud(Math.floor(i / SIZE))),
      ),
      f32(
        'gamma',
        [SIZE],
        noise(SIZE, 7).map((w, i) => w * loud(i)),
      ),
      f32('beta', [SIZE], noise(SIZE, 8)),
    ],
    ...more,
  });

const node = (op: string, inputs: string[], output: string, attributes = {}): NodeDescription => ({
  ...{ op, inputs, outputs: [output], attributes },
});
const last = (input: string): NodeDescription => node('MatMul', [input, 'w'], 'y');

const NORMALIZED = [node('LayerNormalization', ['x', 'gamma', 'beta'], 'l', { axis: -1n }), last('l')];

/** Graphs, the operators they have once scales were moved, and whether samples are loud themselves. */
const GRAPHS: Record<string, { nodes: NodeDescription[]; ops: string[]; loud?: boolean }> = {
  'a normalization': {
    nodes: NORMALIZED,
    ops: ['LayerNormalization', 'MatMul'],
  },
  'a normalization in parts, and two layers behind it': {
    nodes: [
      node('Mul', ['gamma', 'x'], 'm'),
      node('Add', ['m', 'beta'], 'l'),
      node('MatMul', ['l', 'w'], 'a'),
      node('Gemm', ['l', 't', ''], 'b', { transB: 1n }),
      node('Add', ['a', 'b'], 'y'),
    ],
    ops: ['Mul', 'Add', 'MatMul', 'Gemm', 'Add'],
  },
  'normalizations that share their weights': {
    nodes: [
      node('Identity', ['beta'], 'copy'),
      node('LayerNormalization', ['x', 'gamma', 'copy'], 'l', { axis: -1n }),
      node('MatMul', ['l', 'square'], 'a'),
      node('LayerNormalization', ['a', 'gamma', 'beta'], 'm', { axis: -1n }),
      last('m'),
    ],
    // Nothing takes the Identity any more.
    ops: ['Identity', 'LayerNormalization', 'MatMul', 'LayerNormalization', 'MatMul'],
  },
  'a layer with a bias and a Relu': {
    nodes: [
      node('MatMul', ['x', 'square'], 'a'),
      node('Add', ['beta', 'a'], 'b'),
      node('Relu', ['b'], 'r'),
      last('r'),
    ],
    ops: ['MatMul', 'Add', 'Relu', 'MatMul'],
  },
  'a turned layer': {
    nodes: [node('Gemm', ['x', 'turned', 'beta'], 'a', { transB: 1n }), node('Relu', ['a'], 'r'), last('r')],
    ops: ['Gemm', 'Relu', 'MatMul'],
  },
  'an input of the graph': { nodes: [last('x')], ops: ['Mul', 'MatMul'], loud: true },
  'a value that others take too': {
    nodes: [
      node('Mul', ['x', 'gamma'], 'm'),
      node('MatMul', ['m', 'w'], 'a'),
      node('ReduceMax', ['m'], 'b', { axes: [1n] }),
      node('Add', ['a', 'b'], 'y'),
    ],
    ops: ['Mul', 'Mul', 'MatMul', 'ReduceMax', 'Add'],
  },
  'a function that does not scale': {
    nodes: [node('Mul', ['x', 'gamma'], 'm'), node('Elu', ['m'], 'e'), last('e')],
    ops: ['Mul', 'Elu', 'Mul', 'MatMul'],
  },
};

async function prepare(
  file: string,
  data: string,
  more: Partial<QuantizeSettings> = {},
): Promise<{ made: Prepared; file: string; ops: string[] }> {
  return withModel(file, {}, async ({ model: opened, files }) => {
    const made = await smoothed(opened, settings(more), layerFeeds({ files, data, context: testContext(1) }));
    const out = shop.at('prepared.onnx');
    await write(made.model, out, 'onnx');
    return { made, file: out, ops: opsOf(made.model) };
  });
}

describe('scales that move from inputs into weights', () => {
  it.each(Object.entries(GRAPHS))('through %s: the same outputs', async (_, graph) => {
    const source = await model(graph.nodes);
    const { file: data, x } = await samples(graph.loud ?? false);
    const { file, ops, made } = await prepare(source, data);
    expect(codes(made.findings)).toEqual(['INPUTS_SCALED']);
    expect(ops).toEqual(graph.ops);
    const feeds = { x: fed(x, [ROWS, SIZE]) };
    const { y: before = new Float32Array() } = await shop.run(source, feeds);
    const { y: after = new Float32Array() } = await shop.run(file, feeds);
    const size = before.reduce((most, y) => Math.max(most, Math.abs(y)), 0);
    expect(after.length).toBe(ROWS * WIDTH);
    after.forEach((y, i) => void expect(Math.abs(y - (before[i] ?? 0))).toBeLessThan(size * 1e-5));
  });

  it('has the scales of the paper', async () => {
    const { file: data, x } = await samples(true);
    const { made } = await prepare(await model([last('x')]), data);
    const own = made.model.tensors.find(({ info }) => info.name === 'x_smooth');
    const w = noise(SIZE * WIDTH, 2);
    const found = new Float32Array((await bytesOf(own)).buffer);
    found.forEach((factor, k) => {
      const largest = x.reduce(
        (most, value, i) => (i % SIZE === k ? Math.max(most, Math.abs(value)) : most),
        0,
      );
      const weight = w.reduce(
        (most, value, i) => (Math.floor(i / WIDTH) === k ? Math.max(most, Math.abs(value)) : most),
        0,
      );
      expect(factor * Math.sqrt(largest / weight)).toBeCloseTo(1, 5);
    });
  });

  it('leaves layers alone whose inputs have no channels that stand out, and constants that are to be kept', async () => {
    const even = await samples(false);
    const flat = await prepare(await model([last('x')]), even.file);
    expect(codes(flat.made.findings)).toEqual(['INPUTS_KEPT']);
    expect(flat.ops).toEqual(['MatMul']);
    const graph = [node('Mul', ['x', 'gamma'], 'm'), last('m')];
    const selects = (name: string): boolean => name !== 'gamma';
    const kept = await prepare(await model(graph), even.file, { selects });
    expect(kept.ops).toEqual(['Mul', 'Mul', 'MatMul']);
  });
});

const bytesOf = async (tensor: { stream(): AsyncIterable<Uint8Array> } | undefined): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = [];
  for await (const chunk of tensor?.stream() ?? []) chunks.push(chunk);
  return Uint8Array.from(Buffer.concat(chunks));
};

const quantize = (
  input: string,
  options: Partial<QuantizeOptions> & { scheme: string },
): Promise<QuantizeReport> =>
  quantizeModel(
    input,
    shop.at('out.onnx'),
    {
      ...{ validate: 'run', device: 'cpu', force: true, tolerance: Number.MAX_VALUE, only: () => true },
      ...options,
    },
    testContext(1),
  );
const loss = ({ validation }: QuantizeReport): number => {
  expect(validation.passed).toBe(true);
  return Math.max(...(validation.run?.outputs ?? []).map(({ cosine }) => 1 - (cosine ?? 0)));
};

describe('smooth', () => {
  it.each([
    { scheme: 'int8-dynamic' },
    { scheme: 'int8-dynamic', perChannel: true },
    { scheme: 'int8-static', perChannel: true, operators: true },
  ])('$scheme $perChannel: a fraction of the error where channels stand out', async (options) => {
    const { file: calibration } = await samples(false);
    const source = await model(NORMALIZED);
    const plain = await quantize(source, { ...options, calibration });
    const refined = await quantize(source, { ...options, calibration, refine: 'smooth' });
    expect(loss(refined)).toBeLessThan(loss(plain) / 2);
    expect(codes(refined.findings)).toContain('INPUTS_SCALED');
    // Errors are those of the weights as they were before they were scaled.
    const sqnr = refined.tensors.find(({ name }) => name === 'w')?.error?.sqnrDb ?? 0;
    expect(sqnr).toBeGreaterThan(15);
  });
});

describe('awq', () => {
  it.each([
    { scheme: 'int4-weights' },
    { scheme: 'int4-weights', symmetric: false, operators: false },
    { scheme: 'int2-weights' },
  ])('$scheme: less error where inputs differ in size', async (options) => {
    const { file: calibration } = await samples(true);
    const source = await model([last('x')]);
    const plain = await quantize(source, { ...options, calibration });
    const refined = await quantize(source, { ...options, calibration, refine: 'awq' });
    expect(loss(refined)).toBeLessThan(loss(plain) * 0.6);
  });

  it('of trained classifiers: outputs are nearer on samples that it has not seen', async () => {
    const at = (name: string): string =>
      path.join(fileURLToPath(new URL('../../../fixtures/trained/digits_mlp/', import.meta.url)), name);
    const options = { scheme: 'int4-weights', inputs: at('test.npz'), calibration: at('calib.npz') } as const;
    const plain = await quantize(at('model.onnx'), options);
    const refined = await quantize(at('model.onnx'), { ...options, refine: 'awq' });
    expect(loss(refined)).toBeLessThan(loss(plain) * 0.7);
  });
});
