import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTensor, type TensorSource } from '../../../src/core/tensor.js';
import type { ModelDescription, NodeDescription } from '../../../src/graph/build.js';
import { int8Static } from '../../../src/graph/quantize/static.js';
import { withModel } from '../../../src/operations/open.js';
import { Random } from '../../../src/runtime/random.js';
import { modelOf, tensor, write } from '../../validate/support.js';
import { f32, fed, type Made, settings, Workshop } from './static-support.js';

const shop = new Workshop();
afterAll(() => shop.remove());
const random = new Random(3);
const normal = (n: number, factor = 1): number[] => Array.from({ length: n }, () => random.normal() * factor);

/** y from x [n, 8] through the nodes; w [8, 8], v [8, 8], b [8]. */
const graph = (
  nodes: readonly NodeDescription[],
  more: Partial<ModelDescription> = {},
): ModelDescription => ({
  opset: 17,
  nodes,
  inputs: [{ name: 'x', dtype: 'f32', shape: ['n', 8] }],
  outputs: [{ name: 'y', dtype: 'f32', shape: ['n', 8] }],
  initializers: [f32('w', [8, 8], normal(64)), f32('v', [8, 8], normal(64)), f32('b', [8], normal(8))],
  ...more,
});
const node = (op: string, inputs: string[], output: string, attributes = {}): NodeDescription => ({
  op,
  inputs,
  outputs: [output],
  attributes,
});
const gemm = (input: string, weight: string, output: string): NodeDescription =>
  node('Gemm', [input, weight, 'b'], output);
const count = ({ ops }: Made, op: string): number => ops.filter((one) => one === op).length;
const SAMPLES = normal(64);
const FEED = fed(SAMPLES, [8, 8]);
const DATA = shop.at('samples.npz');
beforeAll(() => write(modelOf([tensor('x', [8, 8], SAMPLES)]), DATA, 'npz'));

/** No value further away than so much of the largest. */
function near(found: Float32Array | undefined, values: Float32Array | undefined, share: number): void {
  const wanted = [...(values ?? [])];
  expect(found?.length).toBe(wanted.length);
  const worst = Math.max(...wanted.map((x, i) => Math.abs(x - (found?.[i] ?? Number.NaN))));
  expect(worst).toBeLessThanOrEqual(share * Math.max(...wanted.map(Math.abs)));
}

/** Both forms compute what the source does, up to rounding. */
async function both(
  description: ModelDescription,
): Promise<{ readonly qdq: Made; readonly operators: Made }> {
  const source = await shop.model(description);
  const before = await shop.run(source, { x: FEED });
  const made = {
    qdq: await shop.quantize(source, {}, DATA),
    operators: await shop.quantize(source, { operators: true }, DATA),
  };
  for (const { file } of Object.values(made)) {
    const after = await shop.run(file, { x: FEED });
    for (const [name, values] of Object.entries(before)) near(after[name], values, 0.05);
  }
  return made;
}

describe('what becomes integers', () => {
  it('folds a Relu and a Clip around zero into the range of what comes before', async () => {
    const clip = [f32('low', [], [0]), f32('high', [], [6])];
    const base = graph([]);
    const { qdq, operators } = await both({
      ...base,
      nodes: [
        gemm('x', 'w', 'a'),
        node('Clip', ['a', 'low', 'high'], 'c'),
        gemm('c', 'v', 'd'),
        node('Relu', ['d'], 'y'),
      ],
      initializers: [...(base.initializers ?? []), ...clip],
    });
    for (const made of [qdq, operators]) for (const op of ['Clip', 'Relu']) expect(count(made, op)).toBe(0);
    expect(operators.ops).toEqual(['QuantizeLinear', 'QGemm', 'QGemm', 'DequantizeLinear']);
    expect(await shop.kernels(qdq.file)).toEqual({ QuantizeLinear: 1, QGemm: 2, DequantizeLinear: 1 });
  });

  it('keeps a Relu whose input somebody else takes, and a Clip that leaves zero out', async () => {
    const base = graph([]);
    const { qdq } = await both({
      ...base,
      nodes: [
        gemm('x', 'w', 'a'),
        node('Relu', ['a'], 'r'),
        node('Clip', ['a', 'low'], 'c'),
        gemm('r', 'v', 'd'),
        gemm('c', 'v', 'e'),
        node('Sub', ['d', 'e'], 'y'),
      ],
      initializers: [...(base.initializers ?? []), f32('low', [], [0.5])],
    });
    expect(count(qdq, 'Relu')).toBe(1);
    expect(count(qdq, 'Clip')).toBe(1);
    expect(await shop.kernels(qdq.file)).toMatchObject({ QGemm: 3 });
  });

  it('carries integers through operators between two with weights, and only there', async () => {
    const base = graph([]);
    const { qdq, operators } = await both({
      ...base,
      nodes: [
        gemm('x', 'w', 'a'),
        node('Reshape', ['a', 'shape'], 'r'),
        node('Transpose', ['r'], 't', { perm: [0n, 2n, 1n] }),
        node('Flatten', ['t'], 'f'),
        node('Mul', ['f', 'b'], 'm'),
        node('Sigmoid', ['m'], 's'),
        node('Concat', ['f', 's'], 'c', { axis: 1n }),
        node('Slice', ['c', 'from', 'to', 'axis'], 'l'),
        node('Add', ['l', 'f'], 'p'),
        gemm('p', 'v', 'd'),
        node('Add', ['d', 'b'], 'y'),
      ],
      initializers: [
        ...(base.initializers ?? []),
        {
          name: 'shape',
          dtype: 'i64',
          shape: [3],
          raw: new Uint8Array(BigInt64Array.of(-1n, 2n, 4n).buffer),
        },
        { name: 'from', dtype: 'i64', shape: [1], raw: new Uint8Array(BigInt64Array.of(4n).buffer) },
        { name: 'to', dtype: 'i64', shape: [1], raw: new Uint8Array(BigInt64Array.of(12n).buffer) },
        { name: 'axis', dtype: 'i64', shape: [1], raw: new Uint8Array(BigInt64Array.of(1n).buffer) },
      ],
    });
    // The last sum stays f32: nothing behind it takes integers.
    const last = ['QGemm', 'Add'];
    expect(operators.ops.slice(-2)).toEqual(last);
    expect(count(operators, 'DequantizeLinear')).toBe(0);
    const kernels = {
      QuantizeLinear: 1,
      QGemm: 2,
      QLinearMul: 1,
      QLinearSigmoid: 1,
      QLinearConcat: 1,
      QLinearAdd: 1,
    };
    expect(await shop.kernels(operators.file)).toMatchObject(kernels);
    expect(await shop.kernels(qdq.file)).toMatchObject(kernels);
    expect(await shop.kernels(qdq.file)).not.toHaveProperty('DequantizeLinear');
  });

  it('gives what floats and outputs take under its old name', async () => {
    const nodes = [
      gemm('x', 'w', 'a'),
      node('Relu', ['a'], 'r'),
      gemm('r', 'v', 'd'),
      node('Sub', ['d', 'r'], 'y'),
    ];
    const outputs = ['y', 'r'].map((name) => ({ name, dtype: 'f32' as const, shape: ['n', 8] }));
    const { qdq, operators } = await both(graph(nodes, { outputs }));
    expect(operators.ops).toEqual(['QuantizeLinear', 'QGemm', 'DequantizeLinear', 'QGemm', 'Sub']);
    expect(await shop.kernels(qdq.file)).toMatchObject({ QGemm: 2, Sub: 1 });
  });

  it('reads shapes off integers, so that nothing is dequantized for them', async () => {
    const { qdq, operators } = await both(
      graph([
        gemm('x', 'w', 'a'),
        node('Shape', ['a'], 's'),
        node('Reshape', ['a', 's'], 'r'),
        gemm('r', 'v', 'y'),
      ]),
    );
    expect(count(operators, 'DequantizeLinear')).toBe(0);
    expect(await shop.kernels(qdq.file)).not.toHaveProperty('DequantizeLinear');
  });

  it('multiplies two values of the graph only where a weight has a part in one of them', async () => {
    const products = [
      node('Transpose', ['x'], 't'),
      node('MatMul', ['t', 'x'], 'k'),
      node('MatMul', ['x', 'k'], 'q'),
    ];
    const { qdq } = await both(
      graph([...products, node('MatMul', ['q', 'w'], 'p'), node('MatMul', ['p', 'k'], 'y')]),
    );
    expect(await shop.kernels(qdq.file)).toMatchObject({
      FusedMatMul: 1,
      MatMul: 1,
      QLinearMatMul: 1,
      MatMulIntegerToFloat: 1,
    });
    expect(qdq.quantized.map(({ name }) => name)).toEqual(['w']);
  });

  it('stays away from weights that are not chosen, not f32, or not numbers', async () => {
    const nodes = [gemm('x', 'w', 'a'), gemm('a', 'v', 'y')];
    const source = await shop.model(graph(nodes));
    const some = await shop.quantize(source, { selects: (name) => name !== 'w' });
    expect(some.quantized.map(({ name }) => name)).toEqual(['v', 'b']);
    const none = await shop.quantize(source, { selects: () => false });
    expect(none.quantized).toEqual([]);
    expect(none.ops).toEqual(['Gemm', 'Gemm']);
    const broken = graph(nodes);
    const initializers = [
      f32('w', [8, 8], normal(64).with(3, Number.NaN)),
      ...(broken.initializers ?? []).slice(1),
    ];
    const made = await shop.quantize(await shop.model({ ...broken, initializers }));
    expect(made.quantized.map(({ name }) => name)).toEqual(['v', 'b']);
  });

  it('has no scale for values that are not f32', async () => {
    const source = await shop.model(
      graph(
        [
          node('Cast', ['x'], 'h', { to: 10n }),
          node('MatMul', ['h', 'h'], 'm'),
          node('Cast', ['m'], 'y', { to: 1n }),
        ],
        {
          inputs: [{ name: 'x', dtype: 'f32', shape: [8, 8] }],
        },
      ),
    );
    expect((await shop.quantize(source)).ops).toEqual(['Cast', 'MatMul', 'Cast']);
  });
});

describe('numbers', () => {
  it('raises the scale of a weight where its bias would not fit into 32 bits', async () => {
    const base = graph([gemm('x', 'w', 'y')]);
    const initializers = [f32('w', [8, 8], normal(64, 1e-9)), f32('b', [8], normal(8, 100))];
    for (const perChannel of [false, true]) {
      const source = await shop.model({ ...base, initializers });
      const made = await shop.quantize(source, { perChannel }, DATA);
      const [before, after] = [await shop.run(source, { x: FEED }), await shop.run(made.file, { x: FEED })];
      near(after['y'], before['y'], 1e-4);
    }
  });

  it('always holds zero exactly', async () => {
    const source = await shop.model(
      graph([gemm('x', 'w', 'a'), node('Relu', ['a'], 'r'), gemm('r', 'v', 'y')]),
    );
    await withModel(source, {}, async ({ model }) => {
      for (const [min, max] of [
        [5, 9],
        [-7, -2],
        [0, 0],
        [-1, 3],
      ] as const) {
        const ranges = new Map(['x', 'r'].map((name) => [name, { min, max }]));
        const { model: made } = await int8Static.apply(model, settings(), ranges);
        const scale = new Float32Array((await tensorBytes(made.tensors, 'x_scale')).buffer)[0] ?? 0;
        const zero = (await tensorBytes(made.tensors, 'x_zero_point'))[0] ?? -1;
        expect(scale).toBeGreaterThan(0);
        expect(zero).toBe(min >= 0 ? 0 : max <= 0 ? 255 : 64);
      }
    });
  });

  it('tells what weights count as now', async () => {
    const source = await shop.model(graph([gemm('x', 'w', 'y')]));
    await withModel(source, {}, async ({ model }) => {
      const ranges = new Map([['x', { min: -1, max: 1 }]]);
      const { quantized } = await int8Static.apply(model, settings({ perChannel: true }), ranges);
      const told = quantized.map(({ name, scheme, dtypeOut, bytesOut }) => [
        name,
        scheme,
        dtypeOut,
        bytesOut,
      ]);
      expect(told).toEqual([
        ['w', 'int8-static', 'i8', 64 + 8 * 5],
        ['b', 'int8-static', 'i32', 8 * 12],
      ]);
      for (const { name, dequantized } of quantized) {
        const before = new Float32Array((await tensorBytes(model.tensors, name)).buffer);
        const after = new Float32Array((await readTensor(dequantized)).buffer);
        near(after, before, 0.01);
      }
    });
  });
});

describe('forms', () => {
  it('raise the operator set where scales along an axis need it', async () => {
    const source = await shop.model(
      graph([gemm('x', 'w', 'a'), gemm('a', 'v', 'y')], { opset: 9, irVersion: 4 }),
    );
    const { model, file } = await shop.quantize(source, { perChannel: true });
    expect(model.graph?.opsets.get('')).toBe(13);
    expect(await shop.kernels(file)).toMatchObject({ QGemm: 2 });
  });

  it('refuse what no kernel can do', async () => {
    const source = await shop.model(graph([gemm('x', 'w', 'y')]));
    for (const wrong of [
      { operators: true, activationBits: 16 as const },
      { perChannel: true, symmetric: false },
    ])
      await expect(shop.quantize(source, wrong)).rejects.toMatchObject({ code: 'E_USAGE' });
  });

  it('have integers of 16 bits, and signed ones around zero', async () => {
    const nodes = [gemm('x', 'w', 'a'), node('Relu', ['a'], 'r'), gemm('r', 'v', 'y')];
    const source = await shop.model(graph(nodes));
    const before = (await shop.run(source, { x: FEED }))['y'];
    for (const more of [
      { activationBits: 16 as const },
      { symmetric: true },
      { symmetric: true, operators: true },
    ]) {
      const made = await shop.quantize(source, more, DATA);
      const types = new Map(made.model.tensors.map(({ info }) => [info.name, info.dtype]));
      expect(types.get('x_zero_point')).toBe('activationBits' in more ? 'u16' : 'i8');
      const after = (await shop.run(made.file, { x: FEED }))['y'];
      near(after, before, 0.05);
    }
  });
});

function tensorBytes(tensors: readonly TensorSource[], name: string): Promise<Uint8Array> {
  const found = tensors.find(({ info }) => info.name === name);
  if (!found) throw new Error(`no ${name}`);
  return readTensor(found);
}
