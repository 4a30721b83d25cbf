import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { protoOf } from '../../../src/formats/onnx/summary.js';
import {
  encodeModel,
  type ModelDescription,
  type NodeDescription,
  type TensorDescription,
} from '../../../src/graph/build.js';
import { withModel } from '../../../src/operations/open.js';
import { type QuantizeOptions, quantizeModel } from '../../../src/operations/quantize/quantize.js';
import { testContext } from '../../support/context.js';

const context = testContext(1);
const folder = mkdtempSync(path.join(tmpdir(), 'mlser-dynamic-graphs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let seed = 1;
/** The same numbers in every run, between -1 and 1. */
const random = (): number => {
  seed = (seed * 48271) % 2147483647;
  return (seed / 2147483647) * 2 - 1;
};
const weight = (name: string, ...shape: number[]): TensorDescription => {
  const count = shape.reduce((a, b) => a * b, 1);
  return {
    name,
    dtype: 'f32',
    shape,
    raw: new Uint8Array(Float32Array.from({ length: count }, random).buffer),
  };
};
const node = (
  op: string,
  inputs: string[],
  output: string,
  attributes: NodeDescription['attributes'] = {},
): NodeDescription => ({ op, inputs, outputs: [output], attributes, name: `n_${output}` });

type Graph = Omit<ModelDescription, 'outputs' | 'opset'> & { readonly opset?: number; readonly y: number[] };

async function quantized(graph: Graph, options: Partial<QuantizeOptions> = {}) {
  const [input, output] = [path.join(folder, 'in.onnx'), path.join(folder, 'out.onnx')];
  const outputs = [{ name: 'y', dtype: 'f32', shape: graph.y }] as const;
  writeFileSync(input, await encodeModel({ opset: 17, irVersion: 8, ...graph, outputs }));
  const wanted = { scheme: 'int8-dynamic', validate: 'run', device: 'cpu', force: true, ...options } as const;
  const report = await quantizeModel(input, output, wanted, context);
  expect(report.validation.passed).toBe(true);
  for (const { cosine } of report.validation.run?.outputs ?? []) expect(cosine).toBeGreaterThan(0.998);
  return withModel(output, context, async ({ model }) => ({
    report,
    left: report.findings.filter(({ code }) => code === 'NOT_QUANTIZED').map(({ message }) => message),
    opset: model.graph?.opsets.get('') ?? 0,
    ops: Object.fromEntries(model.graph?.ops ?? []),
    inputs: (model.graph ? (protoOf(model.graph).graph?.input ?? []) : []).map(({ name }) => name),
    dtypes: Object.fromEntries(model.tensors.map(({ info }) => [info.name, info.dtype])),
    shapes: Object.fromEntries(model.tensors.map(({ info }) => [info.name, info.shape])),
  }));
}
const x = (...shape: number[]) => [{ name: 'x', dtype: 'f32', shape }] as const;

describe('int8-dynamic', () => {
  it.each([
    {},
    { perChannel: true },
    { weightSign: 'unsigned', perChannel: true },
    { reduceRange: true },
  ] as const)(
    'keeps the meaning of Gemm: transposed, scaled, with and without a bias (%o)',
    async (options) => {
      const made = await quantized(
        {
          nodes: [
            node('Gemm', ['x', 'w', 'c'], 'a', { transA: 1n, alpha: 0.5, beta: -2 }),
            node('Gemm', ['a', 'v'], 'b', { transB: 1n, alpha: 3 }),
            node('Gemm', ['a', 'v', 'c2'], 'd', { transB: 1n, beta: 0 }),
            node('Sum', ['b', 'd'], 'y'),
          ],
          inputs: x(6, 4),
          initializers: [weight('w', 6, 8), weight('c', 8), weight('v', 5, 8), weight('c2', 5)],
          y: [4, 5],
        },
        options,
      );
      // One weight for two nodes, one quantized activation for both.
      expect(made.ops).toMatchObject({ MatMulInteger: 3, DynamicQuantizeLinear: 2 });
      expect(made.shapes['v_quantized']).toEqual([8, 5]);
      expect(Object.keys(made.dtypes).filter((name) => name.startsWith('v_quantized'))).toHaveLength(1);
      expect(made.dtypes['w']).toBeUndefined();
    },
  );

  it('keeps the meaning of Conv: groups, padding, dilation, a bias that is computed', async () => {
    const made = await quantized({
      nodes: [
        node('Conv', ['x', 'w', 'b'], 'a', { auto_pad: 'SAME_UPPER', strides: [2n, 2n] }),
        node('Conv', ['a', 'deep'], 'c', { group: 8n, pads: [1n, 1n, 1n, 1n] }),
        node('Neg', ['b4'], 'bias'),
        node('Conv', ['c', 'v', 'bias'], 'y', { dilations: [2n, 2n] }),
      ],
      inputs: x(2, 3, 16, 16),
      initializers: [
        weight('w', 8, 3, 3, 3),
        weight('b', 8),
        weight('deep', 8, 1, 3, 3),
        weight('v', 4, 8, 2, 2),
        weight('b4', 4),
      ],
      y: [2, 4, 6, 6],
    });
    expect(made.ops).toMatchObject({ ConvInteger: 3, Reshape: 1 });
    expect(made.ops).not.toHaveProperty('Conv');
    expect(made.shapes['b_4d']).toEqual([8, 1, 1]);
  });

  it('says what signed weights and scales a channel mean for Conv', async () => {
    const graph = {
      nodes: [node('Conv', ['x', 'w'], 'y')],
      inputs: x(1, 3, 16),
      initializers: [weight('w', 4, 3, 3)],
      y: [1, 4, 14],
    };
    const made = await quantized(graph, { weightSign: 'signed', perChannel: true });
    expect(made.dtypes['w_quantized']).toBe('i8');
    expect(made.shapes['w_scale']).toEqual([]);
    expect(made.report.findings.map(({ code }) => code)).toEqual(
      expect.arrayContaining(['CONV_SIGNED', 'CONV_PER_TENSOR']),
    );
  });

  it('looks through the Transpose of a tied embedding, and quantizes the table too', async () => {
    const made = await quantized({
      nodes: [
        node('Gather', ['table', 'x'], 'rows'),
        node('Transpose', ['table'], 'turned', { perm: [1n, 0n] }),
        node('MatMul', ['rows', 'turned'], 'y'),
      ],
      inputs: [{ name: 'x', dtype: 'i64', shape: [1, 5] }],
      initializers: [weight('table', 30, 8)],
      y: [1, 5, 30],
    });
    expect(made.ops).toMatchObject({ Gather: 1, DequantizeLinear: 1, MatMulInteger: 1 });
    expect(made.ops).not.toHaveProperty('Transpose');
    expect(made.dtypes['table']).toBeUndefined();
  });

  it('leaves a table whose floats are needed', async () => {
    const made = await quantized({
      nodes: [
        node('Gather', ['table', 'x'], 'rows'),
        node('Add', ['rows', 'sum'], 'y'),
        node('ReduceMean', ['table'], 'sum', { axes: [0n], keepdims: 0n }),
      ].sort((a, b) => Number(b.op === 'ReduceMean') - Number(a.op === 'ReduceMean')),
      inputs: [{ name: 'x', dtype: 'i64', shape: [5] }],
      initializers: [weight('table', 30, 8)],
      y: [5, 8],
    });
    expect(made.left).toEqual(['these stay, for they are needed as floats by other nodes: table']);
    expect(made.report.findings.map(({ code }) => code)).toContain('NOTHING_QUANTIZED');
  });

  it('raises the operator set; constants that were inputs in IR 3 are none afterwards', async () => {
    const [w, v] = [weight('w', 6, 8), weight('v', 8, 3)];
    const asInput = ({ name, dtype, shape }: TensorDescription) => ({ name, dtype, shape });
    const made = await quantized({
      opset: 9,
      irVersion: 3,
      nodes: [node('MatMul', ['x', 'w'], 'a'), node('MatMul', ['a', 'v'], 'y')],
      inputs: [...x(2, 6), asInput(w), asInput(v)],
      initializers: [w, v],
      y: [2, 3],
    });
    expect(made.opset).toBe(11);
    expect(made.inputs).toEqual(['x']);
    expect(made.ops).toMatchObject({ MatMulInteger: 2 });
    expect(made.report.findings.map(({ code }) => code)).toContain('OPSET_RAISED');
  });

  it('leaves defaults of inputs, vectors, left factors and what is not f32, and says so', async () => {
    const [dflt] = [weight('dflt', 8, 6)];
    const made = await quantized({
      nodes: [
        node('MatMul', ['x', 'w'], 'a'),
        node('MatMul', ['a', 'dflt'], 'b'),
        node('MatMul', ['left', 'b'], 'c'),
        node('MatMul', ['c', 'vector'], 'y'),
      ],
      inputs: [...x(4, 6), { name: 'dflt', dtype: 'f32', shape: [8, 6] }],
      initializers: [weight('w', 6, 8), dflt, weight('left', 3, 4), weight('vector', 6)],
      y: [3],
    });
    expect(made.left).toEqual([
      'these stay, for they only default an input of the graph: dflt',
      'these stay, for they are the left factors of MatMul: left',
      'these stay, for they are vectors: vector',
    ]);
    expect(made.inputs).toContain('dflt');
    expect(made.ops).toMatchObject({ MatMulInteger: 1, MatMul: 3 });
  });

  it('leaves values that are no numbers, and weights that are not selected', async () => {
    const broken = { ...weight('w', 2, 2), raw: new Uint8Array(Float32Array.of(1, NaN, 2, 3).buffer) };
    const graph = { nodes: [node('MatMul', ['x', 'w'], 'y')], inputs: x(2, 2), y: [2, 2] };
    const options = { validate: 'weights' } as const;
    const made = await quantized({ ...graph, initializers: [broken] }, options);
    expect(made.left).toEqual(['these stay, for they hold NaN or infinity: w']);
    const kept = await quantized({ ...graph, initializers: [weight('w', 2, 2)] }, { keep: [/^w$/] });
    expect(kept.ops).toEqual({ MatMul: 1 });
    expect(kept.left).toEqual([]);
  });

  it('gives each direction of an LSTM its scale, each row of its gates with --per-channel', async () => {
    const graph = {
      nodes: [node('LSTM', ['x', 'w', 'r', 'b'], 'y', { hidden_size: 5n, direction: 'bidirectional' })],
      inputs: x(7, 2, 3),
      initializers: [weight('w', 2, 20, 3), weight('r', 2, 20, 5), weight('b', 2, 40)],
      y: [7, 2, 2, 5],
    };
    const plain = await quantized(graph);
    expect(plain.ops).toEqual({ 'com.microsoft::DynamicQuantizeLSTM': 1 });
    expect([plain.shapes['w_quantized'], plain.shapes['w_scale']]).toEqual([[2, 3, 20], [2]]);
    const fine = await quantized(graph, { perChannel: true });
    expect(fine.shapes['w_scale']).toEqual([2, 20]);
  });
});

describe('sub-graphs', () => {
  it('stay as they are, with a finding', async () => {
    const output = path.join(folder, 'control.onnx');
    const options = { scheme: 'int8-dynamic', validate: 'run', device: 'cpu' } as const;
    const report = await quantizeModel('fixtures/onnx/control_flow.ts17.onnx', output, options, context);
    expect(report.validation.passed).toBe(true);
    const [left] = report.findings.filter(({ code }) => code === 'NOT_QUANTIZED');
    expect(left?.message).toBe('these stay, for they are taken by sub-graphs: a.weight, b.weight');
  });
});
