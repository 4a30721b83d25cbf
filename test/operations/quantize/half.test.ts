import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { quantizeModel } from '../../../src/operations/quantize/quantize.js';
import { testContext } from '../../support/context.js';

const scratch = mkdtempSync(path.join(tmpdir(), 'mlser-half-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
let outputs = 0;
const target = () => path.join(scratch, `out-${outputs++}.onnx`);
const options = { validate: 'run', device: 'cpu' } as const;
const quantize = (name: string, scheme: string, more = {}) =>
  quantizeModel(path.join('fixtures', name), target(), { ...options, scheme, ...more }, testContext());

const GRAPHS = [
  'mlp.ts13',
  'mlp.dynamo21',
  'cnn_bn_res.ts17',
  'unet.ts17',
  'gru.ts17',
  'lstm.ts13',
  't5_encoder.ts17',
  'ort_fused_bert',
  'control_flow.ts17',
  'if_initializers',
  'external_onefile/model',
] as const;

describe('quantize --scheme fp16', () => {
  it.each(GRAPHS)('%s runs and is close', async (name) => {
    for (const keepIo of [true, false]) {
      const report = await quantize(`onnx/${name}.onnx`, 'fp16', { keepIo });
      expect(report.validation.passed).toBe(true);
      expect(report.validation.run?.outputs.length).toBeGreaterThan(0);
      for (const output of report.validation.run?.outputs ?? []) {
        if (output.cosine !== null) expect(output.cosine).toBeGreaterThan(0.999);
        expect(output.neededTolerance).toBeLessThan(0.05);
      }
      expect(report.findings.map(({ code }) => code)).toContain('HALF_COMPUTED');
    }
  });

  it.each(['digits_cnn', 'digits_mlp'])('%s stays as accurate', async (name) => {
    const inputs = `fixtures/trained/${name}/test.npz`;
    if (!existsSync(inputs)) throw new Error(`${inputs} is missing`);
    const report = await quantize(`trained/${name}/model.onnx`, 'fp16', { inputs, labels: 'y' });
    expect(report.accuracyDrop).toBeLessThanOrEqual(0.002);
    const halved = report.tensors.filter(({ action }) => action === 'fp16');
    expect(halved.length).toBeGreaterThan(3);
    for (const { bytesIn, bytesOut, error, dtypeOut } of halved) {
      expect(dtypeOut).toBe('f16');
      expect(bytesOut * 2).toBe(bytesIn);
      expect(error?.cosine).toBeGreaterThan(0.999);
    }
  });

  it('gives the same bytes every time', async () => {
    const [a, b] = [target(), target()];
    for (const out of [a, b])
      await quantizeModel(
        'fixtures/onnx/unet.ts17.onnx',
        out,
        { scheme: 'fp16', validate: 'none', device: 'cpu' },
        testContext(),
      );
    expect(readFileSync(a).equals(readFileSync(b))).toBe(true);
  });

  it('leaves nothing to do for a graph in half precision', async () => {
    const report = await quantize('onnx/mlp.fp16_unsorted.onnx', 'fp16');
    expect(report.findings.map(({ code }) => code)).toContain('NOTHING_QUANTIZED');
  });
});

describe('quantize --scheme bf16', () => {
  it.each(GRAPHS)('%s runs and is close', async (name) => {
    const report = await quantize(`onnx/${name}.onnx`, 'bf16');
    expect(report.validation.passed).toBe(true);
    for (const { cosine } of report.validation.run?.outputs ?? [])
      if (cosine !== null) expect(cosine).toBeGreaterThan(0.999);
  });

  it('says what cannot be run', async () => {
    const report = await quantize('onnx/mlp.dynamo21.onnx', 'bf16', { keepIo: false });
    expect(report.findings.map(({ code }) => code)).toContain('GRAPH_EDGE_TYPE');
  });
});
