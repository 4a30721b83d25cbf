import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { encodeModel, type NodeDescription, type TensorDescription } from '../../../src/graph/build.js';
import { withModel } from '../../../src/operations/open.js';
import { type PruneModelOptions, pruneModel } from '../../../src/operations/prune/prune.js';
import type { PruneReport } from '../../../src/operations/prune/report.js';
import { testContext } from '../../support/context.js';
import { fixture } from '../../support/fixtures.js';
import { ownFolder } from '../../support/folders.js';
import { prunesInto } from '../../support/pruned.js';
import { schemaErrors } from '../../support/schema.js';

const MLP = fixture('trained/digits_mlp/model.onnx');
const context = testContext(1);
const at = ownFolder('low-rank');
const prune = prunesInto(at, 'low-rank');
const factor = (input: string, options: Partial<PruneModelOptions> = {}): Promise<PruneReport> =>
  prune(input, 'out.onnx', options);

/** Convolutions whose weights have the ranks 5, 3, 2; with `size`, products of random matrices as well. */
async function writeGraph(file: string, size = 0): Promise<void> {
  let state = 5;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4294967296 - 0.5;
  };
  const initializers: TensorDescription[] = [];
  const weight = (name: string, shape: readonly number[], rank?: number): string => {
    const count = shape.reduce((all, n) => all * n, 1);
    const [rows = 1] = shape;
    const columns = count / rows;
    const values = Float32Array.from({ length: count }, next);
    if (rank !== undefined) {
      const [a, b] = [rows, columns].map((n) => Float64Array.from({ length: n * rank }, next));
      for (let i = 0; i < count; i++) {
        values[i] = 0;
        for (let k = 0; k < rank; k++)
          values[i]! += a![Math.floor(i / columns) * rank + k]! * b![(i % columns) * rank + k]!;
      }
    }
    initializers.push({ name, dtype: 'f32', shape, raw: new Uint8Array(values.buffer) });
    return name;
  };
  const conv = (
    x: string,
    name: string,
    attributes: NonNullable<NodeDescription['attributes']>,
    op = 'Conv',
  ) => ({
    ...{ op, inputs: [x, name, weight(`${name}_bias`, [16])], outputs: [`${name}_out`], attributes },
  });
  weight('strided', [16, 4, 5, 3], 5);
  weight('dilated', [16, 6, 3, 3], 3);
  weight('single', [16, 16, 1, 1], 2);
  weight('grouped', [16, 4, 3, 3]);
  weight('up', [16, 16, 2, 2]);
  const nodes: NodeDescription[] = [
    conv('x', 'strided', { kernel_shape: [5n, 3n], strides: [2n, 1n], pads: [2n, 0n, 1n, 1n] }),
    conv('y', 'dilated', { dilations: [2n, 1n], auto_pad: 'SAME_UPPER' }),
    conv('dilated_out', 'single', { strides: [2n, 2n] }),
    conv('single_out', 'grouped', { group: 4n }),
    conv('grouped_out', 'up', {}, 'ConvTranspose'),
  ];
  if (size > 0) {
    for (const name of ['one', 'two', 'three']) weight(name, [size, size]);
    nodes.push({ op: 'MatMul', inputs: ['z', 'one'], outputs: ['z1'] });
    nodes.push({ op: 'MatMul', inputs: ['z1', 'two'], outputs: ['z2'] });
    nodes.push({ op: 'MatMul', inputs: ['z2', 'three'], outputs: ['z3'] });
  }
  const value = (name: string, shape: readonly (number | string)[]) => ({
    name,
    dtype: 'f32' as const,
    shape,
  });
  const description = {
    opset: 17,
    nodes,
    inputs: [
      value('x', [1, 4, 12, 9]),
      value('y', [1, 6, 11, 10]),
      ...(size > 0 ? [value('z', [2, size])] : []),
    ],
    outputs: [
      value('strided_out', ['n', 16, 'h', 'w']),
      value('up_out', ['n', 16, 'h2', 'w2']),
      ...(size > 0 ? [value('z3', [2, size])] : []),
    ],
    initializers,
  };
  writeFileSync(file, await encodeModel(description));
}

describe('low rank', () => {
  it('splits the matrices of a trained classifier where that saves, and keeps its accuracy', async () => {
    const report = await factor(MLP, {
      ...{ inputs: fixture('trained/digits_mlp/test.npz'), labels: 'y', maxAccuracyDrop: 0.02 },
    });
    expect(schemaErrors('prune', report)).toEqual([]);
    expect(report.validation).toMatchObject({ passed: true, level: 'run' });
    const split = report.prune.tensors.filter(({ reason }) => reason === undefined);
    expect(split).toHaveLength(2);
    for (const { rank = 0, energy = 0, denseBytes, storedBytes } of split) {
      expect(rank).toBeGreaterThan(1);
      expect(energy).toBeGreaterThanOrEqual(0.95);
      expect(storedBytes).toBeLessThan(denseBytes);
    }
    expect(report.prune.tensors.find(({ reason }) => reason)?.reason).toMatch(/two factors of rank/);
    expect(report.tensors.filter(({ action }) => action === 'low-rank')).toHaveLength(2);
    expect(report.bytesOut).toBeLessThan(report.bytesIn * 0.7);
    await withModel(at('out.onnx'), context, async ({ model }) => {
      const elements = model.tensors.reduce(
        (sum, { info }) => sum + info.shape.reduce((all, size) => all * size, 1),
        0,
      );
      expect(elements * 4).toBeLessThan(report.bytesOut);
    });
  });

  it.each([
    'ort_fused_bert.onnx',
    't5_encoder.ts17.onnx',
    'mlp.ts13.onnx',
    'mlp.dynamo21.onnx',
    'mlp.fp16_unsorted.onnx',
    'if_initializers.onnx',
    'cnn_bn_res.ts17.onnx',
  ])('every graph runs, with errors as the energy says: %s', async (name) => {
    const report = await factor(fixture(`onnx/${name}`), { energy: 0.9, tolerance: 1e6 });
    expect(report.validation).toMatchObject({ passed: true });
    for (const { error } of report.tensors) if (error) expect(error.sqnrDb ?? 99).toBeGreaterThan(9.9);
    for (const { energy = 1 } of report.prune.tensors) expect(energy).toBeGreaterThanOrEqual(0.9);
  });

  it('takes what is chosen', async () => {
    const report = await factor(MLP, { rank: 8, include: [/^[14]/], keep: [/^4/], tolerance: 1e6 });
    expect(report.prune.tensors.map(({ name, rank }) => [name, rank])).toEqual([['1.weight', 8]]);
  });

  it('splits convolutions of any stride, pads and dilations, exactly where the rank is full, and says why others stay', async () => {
    await writeGraph(at('conv.onnx'));
    const report = await factor(at('conv.onnx'), { energy: 1 - 1e-9, tolerance: 1e-3 });
    expect(schemaErrors('prune', report)).toEqual([]);
    expect(report.validation).toMatchObject({ passed: true, level: 'run' });
    const found = new Map(report.prune.tensors.map((one) => [one.name, one.reason ?? one.rank]));
    expect(Object.fromEntries(found)).toEqual({
      dilated: 3,
      single: 2,
      strided: 5,
      grouped: 'a Conv of 4 groups is not split',
      up: 'ConvTranspose takes it: only MatMul, Gemm and Conv are split',
    });
    await withModel(at('out.onnx'), context, async ({ model }) => {
      const shapes = new Map(model.tensors.map(({ info }) => [info.name, info.shape]));
      expect(shapes.get('dilated_right')).toEqual([3, 6, 3, 3]);
      expect(shapes.get('dilated_left')).toEqual([16, 3, 1, 1]);
      expect(shapes.has('dilated')).toBe(false);
    });
  });

  it('writes the same bytes at any number of threads', async () => {
    await writeGraph(at('threads.onnx'), 170);
    const files: Buffer[] = [];
    for (const threads of [1, 3]) {
      const out = at(`threads${threads}.onnx`);
      const wanted = { method: 'low-rank', energy: 0.9, validate: 'structure', device: 'cpu' } as const;
      await pruneModel(at('threads.onnx'), out, wanted, testContext(threads));
      files.push(readFileSync(out));
    }
    expect(files[0]!.equals(files[1]!)).toBe(true);
  });

  it('says where nothing is saved', async () => {
    const report = await factor(MLP, { energy: 1 });
    expect(report.findings.map(({ code }) => code)).toContain('NOTHING_PRUNED');
    expect(report.prune.reason).toMatch(/two factors/);
  });

  it('refuses what has no graph, and what contradicts itself', async () => {
    await expect(factor(fixture('trained/digits_mlp/model.safetensors'))).rejects.toMatchObject({
      code: 'E_UNSUPPORTED',
    });
    await expect(factor(MLP, { rank: 4, energy: 0.5 })).rejects.toMatchObject({ code: 'E_USAGE' });
    await expect(factor(MLP, { energy: 1.5 })).rejects.toMatchObject({ code: 'E_USAGE' });
  });
});
