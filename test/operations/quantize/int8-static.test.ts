import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { type QuantizeOptions, quantizeModel } from '../../../src/operations/quantize/quantize.js';
import { testContext } from '../../support/context.js';
import { codes } from '../../validate/support.js';

const trained = (name: string): string =>
  fileURLToPath(new URL(`../../../fixtures/trained/${name}`, import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'mlser-int8-static-'));
const at = (name: string): string => path.join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const quantize = (model: string, output: string, more: Partial<QuantizeOptions> = {}) =>
  quantizeModel(
    trained(`${model}/model.onnx`),
    at(output),
    {
      scheme: 'int8-static',
      calibration: trained(`${model}/calib.npz`),
      inputs: trained(`${model}/test.npz`),
      labels: 'y',
      validate: 'run',
      device: 'cpu',
      force: true,
      ...more,
    },
    testContext(1),
  );

describe('int8-static', () => {
  const variants: readonly Partial<QuantizeOptions>[] = [
    {},
    { perChannel: true },
    { operators: true },
    { symmetric: true },
    { weightSign: 'unsigned' },
    { activationBits: 16 },
    { method: 'percentile' },
    { method: 'entropy' },
    { method: 'mse' },
  ];
  for (const model of ['digits_cnn', 'digits_mlp'])
    it(`loses at most half a point on ${model}`, async () => {
      for (const more of variants) {
        const { accuracyDrop, validation, tensors } = await quantize(model, 'a.onnx', more);
        expect(validation.passed).toBe(true);
        expect(accuracyDrop, JSON.stringify(more)).toBeLessThanOrEqual(0.005);
        expect(tensors.every(({ action }) => action === 'int8-static')).toBe(true);
      }
    }, 120_000);

  it('gives the same bytes every time, with a cache and without', async () => {
    const calibrationCache = at('cache.json');
    const files = [];
    for (const more of [{}, { calibrationCache }, { calibrationCache }]) {
      await quantize('digits_cnn', 'b.onnx', more);
      files.push(readFileSync(at('b.onnx')).toString('base64'));
    }
    expect(new Set(files).size).toBe(1);
  });

  it('keeps what it is told to, and works without samples', async () => {
    const kept = await quantize('digits_cnn', 'c.onnx', { keep: [/^fc/] });
    expect(kept.tensors.filter(({ action }) => action === 'int8-static')).toHaveLength(6);
    const made = await quantizeModel(
      trained('digits_cnn/model.onnx'),
      at('d.onnx'),
      { scheme: 'int8-static', validate: 'run', device: 'cpu' },
      testContext(1),
    );
    expect(codes(made.findings)).toContain('CALIBRATION_SYNTHETIC');
  });
});
