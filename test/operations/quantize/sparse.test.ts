import * as fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { diffModels } from '../../../src/operations/diff.js';
import { withModel } from '../../../src/operations/open.js';
import { pruneModel } from '../../../src/operations/prune/prune.js';
import { type QuantizeOptions, quantizeModel } from '../../../src/operations/quantize/quantize.js';
import { testContext } from '../../support/context.js';
import { folderOfEachTest } from '../../support/folders.js';

const MODEL = path.resolve('fixtures/trained/digits_cnn/model.onnx');
const at = folderOfEachTest('sparse');
const context = testContext();
const proof = { validate: 'run', device: 'cpu', tolerance: 1e9, force: true } as const;
const bytes = (name: string): number => fs.statSync(at(name)).size;

const quantized = (from: string, to: string, options: Partial<QuantizeOptions> = {}) =>
  quantizeModel(from, at(to), { scheme: 'int8-weights', ...proof, ...options }, context);
const pruned = (from: string, to: string, sparsity: number, more: { exclude?: RegExp[] } = {}) =>
  pruneModel(from, at(to), { method: 'magnitude', sparsity, ...proof, ...more }, context);

describe('weights that are sparse initializers', () => {
  beforeEach(async () => {
    await pruned(MODEL, 'sparse.onnx', 0.8);
    await withModel(MODEL, {}, async ({ model }) => {
      const dense = model.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
      expect(bytes('sparse.onnx')).toBeLessThan(dense);
    });
  });

  it('are quantized as others are', async () => {
    const report = await quantized(at('sparse.onnx'), 'q.onnx');
    expect(report.tensors.filter(({ error }) => error)).toHaveLength(5);
    expect(report.validation).toMatchObject({ level: 'run', passed: true });
    expect(bytes('q.onnx')).toBeLessThan(14_000);
  });

  it.each(['fp16', 'int4-weights', 'int8-dynamic', 'nf4', 'palette-4'])('become %s', async (scheme) => {
    const report = await quantized(at('sparse.onnx'), 'q.onnx', { scheme });
    expect(report.tensors.filter(({ error }) => error).length).toBeGreaterThanOrEqual(5);
    expect(report.validation.passed).toBe(true);
  });

  it('stay sparse where they stay floats', async () => {
    await quantized(at('sparse.onnx'), 'q.onnx', { keep: [/fc1/] });
    // The weight alone has 12,288 bytes when it is dense.
    expect(bytes('q.onnx')).toBeLessThan(17_000);
    await quantized(at('sparse.onnx'), 'all.onnx', { maxError: 0 });
    expect((await diffModels(at('all.onnx'), at('sparse.onnx'), {}, context)).same).toBe(true);
    expect(bytes('all.onnx')).toBeLessThan(bytes('sparse.onnx') + 200);
  });

  it('are pruned further, and take no more than if that had been done at once', async () => {
    await pruned(at('sparse.onnx'), 'again.onnx', 0.9);
    await pruned(MODEL, 'once.onnx', 0.9);
    expect(bytes('again.onnx')).toBe(bytes('once.onnx'));
    expect((await diffModels(at('again.onnx'), at('once.onnx'), {}, context)).same).toBe(true);
  });
});
