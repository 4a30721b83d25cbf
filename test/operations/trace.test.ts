import { describe, expect, it } from 'vitest';
import { quantizeModel } from '../../src/operations/quantize/quantize.js';
import type { TraceReport } from '../../src/operations/trace/report.js';
import { type TraceOptions, traceModel } from '../../src/operations/trace/trace.js';
import { mlser } from '../support/cli.js';
import { testContext } from '../support/context.js';
import { schemaErrors } from '../support/schema.js';
import * as broken from './broken-models.js';
import { at, CNN, fixture, TEST } from './broken-models.js';

const context = testContext(1);

async function trace(input: string, options: Partial<TraceOptions> = {}): Promise<TraceReport> {
  const report = await traceModel(input, { device: 'cpu', ...options }, context);
  expect(schemaErrors('trace', report)).toEqual([]);
  return report;
}

describe('trace against a reference', () => {
  it('finds the node whose weight differs, and says that what it takes is right', async () => {
    const wrong = await broken.brokenCnn('wrong.onnx', broken.wrongWeight);
    const report = await trace(wrong, { reference: CNN, inputs: TEST });
    expect(report).toMatchObject({ same: false, samples: 500, matched: { values: 12, of: 12, name: 12 } });
    expect(report.first).toMatchObject({ kind: 'differs', node: '/conv3/Conv', op: 'Conv', blame: 'weight' });
    expect(report.first?.inputs).toEqual([
      { name: '/MaxPool_output_0', kind: 'value', same: true, maxAbs: 0, cosine: expect.closeTo(1, 9) },
      expect.objectContaining({ name: 'conv3.weight', same: false, maxAbs: expect.closeTo(0.5, 5) }),
      expect.objectContaining({ name: 'conv3.bias', same: true }),
    ]);
    const order = report.values.map(({ counterpart }) => counterpart?.same);
    expect(order).toEqual([...new Array(5).fill(true), ...new Array(7).fill(false)]);
    expect((await trace(wrong, { reference: CNN, tolerance: 10 })).same).toBe(true);
  });

  it('sees the same in windows of any size', async () => {
    const wrong = await broken.brokenCnn('wrong.onnx', broken.wrongWeight);
    const small = await trace(wrong, { reference: CNN, windowBytes: 40_000 });
    const large = await trace(wrong, { reference: CNN });
    expect(small.values).toEqual(large.values);
    expect(small.first).toEqual(large.first);
  });

  it('matches values without a common name by structure, by figures, and as it is told', async () => {
    const renamed = await broken.brokenCnn('renamed.onnx', broken.renamed);
    expect(await trace(renamed, { reference: CNN })).toMatchObject({
      same: true,
      matched: { values: 12, of: 12, structure: 12 },
    });
    const clipped = await broken.brokenCnn('clipped.onnx', async (model) =>
      broken.renamed(await broken.clipped(model)),
    );
    const report = await trace(clipped, { reference: CNN });
    expect(report).toMatchObject({
      same: true,
      matched: { values: 12, of: 12, structure: expect.any(Number) },
    });
    expect(report.matched.figures).toBeGreaterThan(3);
    const map = new Map([['v1', '/Relu_output_0']]);
    expect((await trace(clipped, { reference: CNN, map })).values[1]?.counterpart).toMatchObject({
      name: '/Relu_output_0',
      by: 'map',
      same: true,
    });
    await expect(
      trace(clipped, { reference: CNN, map: new Map([['v1', '/Relu_outptu_0']]) }),
    ).rejects.toThrow(
      expect.objectContaining({ code: 'E_NOT_FOUND', hint: expect.stringContaining('"/Relu_output_0"') }),
    );
  });

  it('a quantized model differs from its first quantized layer on, and its nodes are matched behind the rounding', async () => {
    await quantizeModel(
      CNN,
      at('int8.onnx'),
      {
        ...{ scheme: 'int8-static', calibration: fixture('trained/digits_cnn/calib.npz') },
        ...{ validate: 'none', device: 'cpu', force: true },
      },
      context,
    );
    const report = await trace(at('int8.onnx'), { reference: CNN, inputs: TEST, tolerance: 1e-3 });
    expect(report.first).toMatchObject({ kind: 'differs', blame: 'between' });
    expect(report.first?.between).toContain('/conv1/Conv');
    expect(report.matched.name).toBeGreaterThan(5);
    expect(report.matched.structure).toBeGreaterThan(3);
    const last = report.values.at(-1);
    expect(last).toMatchObject({ name: 'logits', counterpart: { name: 'logits', same: false } });
    expect(last?.counterpart?.cosine).toBeGreaterThan(0.99);
  });

  it('says so where the reference does not run', async () => {
    const refused = await broken.brokenCnn('refused.onnx', (model) => broken.before(model, 'NoSuchOperator'));
    await expect(trace(CNN, { reference: refused })).rejects.toThrow(
      expect.objectContaining({
        code: 'E_RUNTIME',
        message: expect.stringContaining('the reference does not run'),
      }),
    );
  });

  it('on another device compares the model with itself on the cpu', async () => {
    const report = await trace(fixture('onnx/gru.ts17.onnx'), { referenceDevice: 'cpu' });
    expect(report).toMatchObject({
      same: true,
      reference: fixture('onnx/gru.ts17.onnx'),
      referenceDevice: 'cpu',
    });
    expect(report.matched.values).toBe(report.matched.of);
  });
});

describe('trace of a model alone', () => {
  it.each([
    ['onnx/control_flow.ts17.onnx'],
    ['onnx/ort_fused_bert.onnx'],
    ['onnx/unet.ts17.onnx'],
    ['onnx/mlp.fp16_unsorted.onnx'],
    ['onnx/digits_mlp.nbits4.onnx'],
  ])('goes through every value of %s', async (name) => {
    const report = await trace(fixture(name));
    expect(report.same).toBe(true);
    expect(report.values.length).toBeGreaterThan(2);
  });

  it('finds the first node that makes what is not finite', async () => {
    const file = await broken.brokenCnn('log.onnx', (model) => broken.before(model, 'Log'));
    const report = await trace(file, { inputs: TEST });
    expect(report.first).toMatchObject({ kind: 'not-finite', node: 'the_Log', blame: 'node' });
    expect(report.first?.inputs).toEqual([{ name: '/MaxPool_1_output_0', kind: 'value', nonFinite: 0 }]);
  });

  it('an infinity that is masked is no fault', async () => {
    const report = await trace(fixture('onnx/t5_encoder.ts17.onnx'));
    expect(report).toMatchObject({ same: true, first: null });
    const inside = report.findings.find(({ code }) => code === 'NOT_FINITE_INSIDE');
    expect(inside?.subject).toMatch(/Log/);
    expect(report.values.find(({ name }) => name === inside?.subject)?.nonFinite).toBeGreaterThan(0);
  });

  it('finds the node at which the runtime fails, and the one that it refuses', async () => {
    const fails = await trace(await broken.brokenCnn('fails.onnx', broken.misshaped), { inputs: TEST });
    expect(fails).toMatchObject({ same: false, values: [], first: { kind: 'fails', node: 'bad_reshape' } });
    expect(fails.first?.message).toContain('reshape');
    const refused = await broken.brokenCnn('refused.onnx', (model) => broken.before(model, 'NoSuchOperator'));
    expect((await trace(refused)).first).toMatchObject({ kind: 'fails', node: 'the_NoSuchOperator' });
  });

  it('answers with its exit code', async () => {
    expect(mlser(['trace', CNN, '--quiet'])).toMatchObject({ code: 0, out: '', err: '' });
    const file = await broken.brokenCnn('log.onnx', (model) => broken.before(model, 'Log'));
    const ran = mlser(['trace', file, '--inputs', TEST]);
    expect(ran).toMatchObject({ code: 1, err: '' });
    expect(ran.out).toContain('not finite, first at the_Log');
    expect(mlser(['trace', fixture('trained/digits_cnn/model.safetensors')])).toMatchObject({ code: 2 });
  });
});
