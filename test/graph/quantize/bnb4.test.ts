import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterAll, describe, expect, it } from 'vitest';
import type { WorkContext } from '../../../src/core/format.js';
import { readTensor } from '../../../src/core/tensor.js';
import { writer } from '../../../src/formats/onnx/writer.js';
import { nf4Weights } from '../../../src/graph/quantize/block-floats.js';
import { type OpenedModel, openModel } from '../../../src/operations/open.js';
import { testContext } from '../../support/context.js';
import { memoryOutput } from '../../support/memory-files.js';
import { Workshop } from './static-support.js';

const shop = new Workshop();
const closing: OpenedModel[] = [];
afterAll(async () => {
  for (const model of closing) await model.close();
  shop.remove();
});

/** QLoRA (Dettmers et al., 2023), appendix E, to the seven digits that matter here. */
const LEVELS = [
  -1, -0.6961928, -0.5250731, -0.3949175, -0.2844414, -0.1847734, -0.09105, 0, 0.0795803, 0.1609302,
  0.2461123, 0.3379152, 0.4407098, 0.562617, 0.7229568, 1,
];

/** What a K × N matrix counts as: blocks run along its columns, one column after the other. */
function expected(values: Float32Array, k: number, n: number, block: number): number[] {
  const turned = Array.from({ length: k * n }, (_, i) => values[(i % k) * n + Math.floor(i / k)] ?? 0);
  const counted = turned.map((value, i) => {
    const start = Math.floor(i / block) * block;
    const largest = Math.max(...turned.slice(start, start + block).map(Math.abs));
    const wanted = largest === 0 ? 0 : value / largest;
    return largest * LEVELS.reduce((a, b) => (Math.abs(b - wanted) < Math.abs(a - wanted) ? b : a));
  });
  return Array.from({ length: k * n }, (_, i) => counted[(i % n) * k + Math.floor(i / n)] ?? 0);
}

/** A graph that multiplies with a matrix. */
async function opened(k: number, n: number, values: Float32Array): Promise<OpenedModel> {
  const file = await shop.model({
    opset: 13,
    inputs: [{ name: 'x', dtype: 'f32', shape: ['m', k] }],
    outputs: [{ name: 'y', dtype: 'f32', shape: ['m', n] }],
    nodes: [{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }],
    initializers: [{ name: 'w', dtype: 'f32', shape: [k, n], raw: new Uint8Array(values.buffer) }],
  });
  const model = await openModel(file);
  closing.push(model);
  return model;
}

/** The matrix as the runtime sees it: the identity multiplied with it. */
async function seen(
  k: number,
  n: number,
  values: Float32Array,
  block: number | undefined,
  context?: WorkContext,
) {
  const { model } = await opened(k, n, values);
  const settings = { selects: () => true, operators: true, ...(block === undefined ? {} : { block }) };
  const made = await nf4Weights.apply(model, settings, undefined, context);
  expect(made.quantized.every(({ loss }) => (loss !== undefined) === (context !== undefined))).toBe(true);
  const files = memoryOutput('out.onnx');
  await writer.write(made.model, files, { ...testContext(1), options: {} });
  const session = await InferenceSession.create(files.bytes());
  const identity = Float32Array.from({ length: k * k }, (_, i) => (i % (k + 1) === 0 ? 1 : 0));
  const y = (await session.run({ x: new Tensor('float32', identity, [k, k]) }))['y']?.data;
  const [tensor] = made.quantized;
  const told: number[] = [];
  for await (const chunk of tensor?.dequantized.stream() ?? [])
    told.push(...new Float32Array(chunk.slice().buffer));
  made.release?.();
  return {
    ops: [...(made.model.graph?.ops.keys() ?? [])],
    values: y instanceof Float32Array ? [...y] : [],
    told,
  };
}

/** Numbers between -1.5 and 1.5. */
function numbers(count: number): Float32Array {
  let state = 1;
  return Float32Array.from({ length: count }, () => {
    state = (state * 48271) % 2147483647;
    return (state / 2147483647 - 0.5) * 3;
  });
}

describe('nf4 with --operators', () => {
  const sizes = [
    { k: 64, n: 8, block: undefined },
    { k: 48, n: 5, block: 32 },
    { k: 5, n: 3, block: 16 },
    { k: 3, n: 7, block: 64 },
  ];
  const contexts = [
    { by: 'the pool', context: testContext() },
    { by: 'streaming', context: undefined },
  ];
  it.each(sizes.flatMap((one) => contexts.map((other) => ({ ...one, ...other }))))(
    'MatMulBnb4 unpacks $k × $n in blocks of $block as it was packed by $by',
    async ({ k, n, block, context }) => {
      const values = numbers(k * n);
      const { ops, values: found, told } = await seen(k, n, values, block, context);
      expect(ops).toEqual(['com.microsoft::MatMulBnb4']);
      const wanted = expected(values, k, n, block ?? 64);
      const farthest = (values: readonly number[]): number =>
        Math.max(...values.map((value, i) => Math.abs(value - (wanted[i] ?? Number.NaN))));
      expect([found.length, told.length]).toEqual([k * n, k * n]);
      expect([farthest(found), farthest(told)].every((far) => far < 1e-6)).toBe(true);
    },
  );

  it('the pool codes columns some at a time, with the same outcome', async () => {
    // 1500 rows: 698 columns at a time.
    const [k, n] = [1500, 701];
    const values = numbers(k * n);
    const bytes = [];
    for (const context of [undefined, testContext()]) {
      const made = await nf4Weights.apply(
        (await opened(k, n, values)).model,
        { selects: () => true, operators: true },
        undefined,
        context,
      );
      const codes = made.model.tensors.find(({ info }) => info.name === 'w_nf4');
      bytes.push(codes ? Buffer.from(await readTensor(codes)).toString('latin1') : '');
      made.release?.();
    }
    expect(bytes[0]).toHaveLength((1500 * 701) / 2);
    expect(bytes[1] === bytes[0]).toBe(true);
  });

  it('a weight that is not finite stays', async () => {
    const values = new Float32Array(64 * 2).fill(1);
    values[3] = Number.NaN;
    for (const context of [undefined, testContext()])
      expect((await seen(64, 2, values, 64, context)).ops).toEqual(['MatMul']);
  });
});
