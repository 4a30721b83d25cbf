import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseOverride } from '../../../src/operations/quantize/assign.js';
import { type QuantizeOptions, quantizeModel } from '../../../src/operations/quantize/quantize.js';
import { sensitivityOf } from '../../../src/operations/quantize/sensitivity.js';
import { LADDER } from '../../../src/operations/quantize/target-size.js';
import { TRAINED } from '../../support/cli.js';
import { testContext } from '../../support/context.js';

const context = testContext(1);
const folder = mkdtempSync(path.join(tmpdir(), 'mlser-decisions-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string): string => path.join(TRAINED, name);
const labelled = { inputs: at('test.npz'), labels: 'y' };
let made = 0;
const fresh = (extension: string): string => path.join(folder, `${made++}.${extension}`);
const wanted = (options: Partial<QuantizeOptions>): QuantizeOptions => ({
  ...{ validate: 'run', device: 'cpu', scheme: 'int8-weights' },
  ...options,
});
const quantize = (options: Partial<QuantizeOptions>, input = at('model.onnx'), output = fresh('onnx')) =>
  quantizeModel(input, output, wanted(options), context);
const actions = ({ tensors }: Awaited<ReturnType<typeof quantize>>): Record<string, string> =>
  Object.fromEntries(tensors.map(({ name, action }) => [name, action]));

describe('a target size', () => {
  it.each([20_000, 12_000, 9_500, 7_500])('of %i bytes is met, with a frontier', async (targetSize) => {
    const output = fresh('onnx');
    const report = await quantize({ ...labelled, targetSize, scheme: LADDER.join(',') }, undefined, output);
    expect(report.validation.passed).toBe(true);
    expect(statSync(output).size).toBe(report.bytesOut);
    expect(report.bytesOut).toBeLessThanOrEqual(targetSize);
    // Not smaller than it need be: a choice fewer and it would not fit.
    expect(report.bytesOut).toBeGreaterThan(targetSize * 0.75);
    const frontier = report.frontier ?? [];
    expect(frontier.length).toBeGreaterThan(5);
    expect([...frontier].sort((a, b) => b.bytes - a.bytes)).toEqual(frontier);
    expect([...frontier].sort((a, b) => a.loss - b.loss)).toEqual(frontier);
  });
  it('is met with the schemes that are named', async () => {
    const targetSize = { shareOfInput: 0.35 };
    const report = await quantize({ targetSize, scheme: 'palette-4,palette-8' });
    const used = new Set(Object.values(actions(report)));
    expect([...used].every((action) => ['copy', 'palette-4', 'palette-8'].includes(action))).toBe(true);
    expect(report.bytesOut).toBeLessThanOrEqual(12_000);
  });
  it('is met by weights without a graph, by their own errors', async () => {
    const report = await quantize(
      { targetSize: 10_000, scheme: LADDER.join(',') },
      at('model.safetensors'),
      fresh('safetensors'),
    );
    expect(report.bytesOut).toBeLessThanOrEqual(10_000);
    expect(new Set(Object.values(actions(report))).has('int4-weights')).toBe(true);
  });
  it('that nothing meets is refused, with the least that can be had', async () => {
    await expect(quantize({ targetSize: 3_000, scheme: LADDER.join(',') })).rejects.toMatchObject({
      code: 'E_UNSUPPORTED',
      details: { targetSize: 3_000 },
    });
  });
});

describe('an accuracy', () => {
  it('that sinks too far is kept by leaving the most sensitive weights in float', async () => {
    const bold = await quantize({ ...labelled, scheme: 'int2-weights', tolerance: 1e9 });
    expect(bold.accuracyDrop).toBeGreaterThan(0.02);
    const report = await quantize({ ...labelled, scheme: 'int2-weights', maxAccuracyDrop: 0.02 });
    expect(report.validation.passed).toBe(true);
    expect(report.accuracyDrop).toBeLessThanOrEqual(0.02);
    const done = Object.values(actions(report));
    expect(done).toContain('int2-weights');
    expect(report.findings.map(({ code }) => code)).toContain('KEPT_IN_FLOAT');
  });
});

describe('an error of a weight', () => {
  it('above the limit keeps it in float', async () => {
    const all = await quantize({ scheme: 'int4-weights' });
    const errors = all.tensors.flatMap(({ name, error }) =>
      error?.sqnrDb == null ? [] : [[name, 10 ** (-error.sqnrDb / 20)] as const],
    );
    const limit = errors.map(([, error]) => error).sort((a, b) => a - b)[2] ?? 0;
    const report = await quantize({ scheme: 'int4-weights', maxError: limit * 1.0001 });
    const kept = errors.filter(([, error]) => error > limit * 1.0001).map(([name]) => name);
    expect(kept.length).toBeGreaterThan(0);
    for (const name of kept) expect(actions(report)[name]).toBe('copy');
    expect(Object.values(actions(report))).toContain('int4-weights');
  });
});

describe('overrides', () => {
  it('give weights a scheme of their own; the first that matches decides', async () => {
    const overrides = ['fc1=int4-weights,block=64', 'fc=palette-4', 'Conv_35=keep'].map(parseOverride);
    const done = actions(await quantize({ overrides, keep: [/Conv_38/] }));
    expect(done).toMatchObject({
      'fc1.weight': 'int4-weights',
      'fc2.weight': 'palette-4',
      'onnx::Conv_35': 'copy',
      'onnx::Conv_38': 'copy',
      'conv3.weight': 'int8-weights',
    });
  });
  it.each(['', 'fc', '=int8-weights', '(=int8-weights', 'fc=int9', 'fc=int8-weights,block=x'])(
    'that make no sense are refused: %j',
    (text) => expect(() => parseOverride(text)).toThrow(expect.objectContaining({ code: 'E_USAGE' })),
  );
});

describe('sensitivity', () => {
  it('measures each weight alone, the one that costs most first', async () => {
    const scheme = 'int4-weights';
    const report = await sensitivityOf(at('model.onnx'), wanted({ ...labelled, scheme }), context);
    expect(report.synthetic).toBe(false);
    expect(report.layers.length).toBeGreaterThanOrEqual(4);
    const drops = report.layers.map(({ accuracyDrop }) => accuracyDrop ?? Number.NaN);
    expect([...drops].sort((a, b) => b - a)).toEqual(drops);
    const [worst] = report.layers;
    const only = (name: string): boolean => name === worst?.name;
    const alone = await quantize({ ...labelled, scheme, only, tolerance: 1e9 });
    expect(alone.validation.accuracy?.after).toBe(worst?.accuracy);
    expect(alone.validation.run?.outputs[0]?.cosine).toBe(worst?.cosine);
  });
});

describe('what is quantized already', () => {
  it('is refused, and rounded again on request', async () => {
    const once = fresh('onnx');
    await quantize({ scheme: 'int8-weights' }, undefined, once);
    await expect(quantize({ scheme: 'int8-weights' }, once)).rejects.toMatchObject({
      code: 'E_UNSUPPORTED',
      hint: expect.stringContaining('--requantize'),
    });
    const tensors = fresh('safetensors');
    await quantize({ scheme: 'int8-weights' }, at('model.safetensors'), tensors);
    await expect(quantize({}, tensors, fresh('safetensors'))).rejects.toMatchObject({
      code: 'E_UNSUPPORTED',
    });
    const again = await quantize({ requantize: true, scheme: 'fp8-e4m3' }, tensors, fresh('safetensors'));
    expect(again.tensors.filter(({ dtypeOut }) => dtypeOut === 'f8_e4m3fn').length).toBeGreaterThan(4);
  });
});

describe('a graph that the output has no place for', () => {
  it('is told of, and its weights are quantized', async () => {
    const report = await quantize({}, at('model.onnx'), fresh('safetensors'));
    expect(report.findings.map(({ code }) => code)).toContain('GRAPH_DROPPED');
    expect(Object.values(actions(report))).toContain('int8-weights');
  });
});

describe('the account of speed', () => {
  it('is given for weights in a file of their own, too', async () => {
    const report = await quantize({ scheme: 'int8-weights', externalData: true });
    expect(report.files).toHaveLength(2);
    expect(report.speed?.dequantize).toBeGreaterThan(0);
    expect(report.speed?.notes.join(' ')).toContain('turned back into floats');
  });
  it('counts operators that compute with integers', async () => {
    const report = await quantize({ scheme: 'int8-static', calibration: at('calib.npz') });
    expect(report.speed).toMatchObject({ integerKernels: 5, floatKernels: 0, dequantize: 0, floatNodes: [] });
    // Without --inputs outputs are compared on the calibration data.
    expect(report.validation.run?.feeds).toBe(at('calib.npz'));
  });
  it('names the operators that still compute with floats', async () => {
    const calibration = at('calib.npz');
    const report = await quantize({ scheme: 'int8-static', calibration, keep: [/^fc1/] });
    expect(report.speed?.floatKernels).toBe(1);
    expect(report.speed?.floatNodes[0]).toMatch(/Gemm|MatMul/);
    expect(report.speed?.notes.join(' ')).toContain(report.speed?.floatNodes[0]);
  });
});
