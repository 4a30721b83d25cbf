import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { InferenceSession } from 'onnxruntime-node';
import { afterAll, describe, expect, it } from 'vitest';
import { readTensor } from '../../../src/core/tensor.js';
import { withModel } from '../../../src/operations/open.js';
import { type QuantizeOptions, quantizeModel } from '../../../src/operations/quantize/quantize.js';
import { testContext } from '../../support/context.js';

interface Reference {
  readonly error: number;
  readonly accuracy?: number;
  readonly tensors: Readonly<Record<string, { readonly shape: readonly number[]; readonly sha256: string }>>;
}

const FIXTURES = fileURLToPath(new URL('../../../fixtures/', import.meta.url));
const quant = (...parts: string[]): string => path.join(FIXTURES, 'quant', ...parts);
const trained = (model: string, file: string): string => path.join(FIXTURES, 'trained', model, file);
const context = testContext(1);
const folder = mkdtempSync(path.join(tmpdir(), 'mlser-dynamic-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const cases = ['bert', 'cnn_bn_res', 'lstm', 'digits_cnn', 'digits_mlp'].flatMap((model) => {
  const text = readFileSync(quant(model, 'dynamic.json'), 'utf8');
  const known: Record<string, Reference> = JSON.parse(text);
  return Object.entries(known).map(([name, reference]) => ({ model, name, reference }));
});

const BASE = { scheme: 'int8-dynamic', validate: 'run', device: 'cpu' } as const;

/** `dyn_u8_pc` as options. */
const optionsOf = (name: string): QuantizeOptions => ({
  ...BASE,
  weightSign: name.includes('u8') ? 'unsigned' : 'signed',
  perChannel: name.includes('_pc'),
  reduceRange: name.endsWith('reduce_range'),
});

describe('weights equal those of onnxruntime', () => {
  it('has something to compare with', () => {
    expect(cases.length).toBeGreaterThan(20);
  });

  it.each(cases)('$model $name', async ({ model, name, reference }) => {
    const digits = model.startsWith('digits');
    const input = digits ? trained(model, 'model.onnx') : quant(model, 'model.onnx');
    const inputs = digits ? trained(model, 'test.npz') : quant(model, 'inputs.npz');
    const output = path.join(folder, `${model}-${name}.onnx`);
    const labels = digits ? { labels: 'y' } : {};
    const report = await quantizeModel(input, output, { ...optionsOf(name), inputs, ...labels }, context);
    expect(report.validation.passed).toBe(true);
    // Where the processor has no 8-bit dot products, sums of signed products saturate.
    const worst = Math.max(...(report.validation.run?.outputs ?? []).map(({ maxAbs }) => maxAbs));
    expect(worst).toBeLessThan(reference.error * 1.5);
    if (reference.accuracy !== undefined)
      expect(report.validation.accuracy?.after).toBeGreaterThan(reference.accuracy - 0.005);

    await withModel(output, context, async (opened) => {
      const found = new Map(opened.model.tensors.map((tensor) => [tensor.info.name, tensor]));
      for (const [theirs, { shape, sha256 }] of Object.entries(reference.tensors)) {
        const tensor = found.get(theirs);
        if (!tensor) throw new Error(`${theirs} is missing`);
        const sum = createHash('sha256')
          .update(await readTensor(tensor))
          .digest('hex');
        expect([theirs, tensor.info.shape, sum]).toEqual([theirs, shape, sha256]);
      }
    });
  });
});

describe('without further options', () => {
  it.each(['digits_cnn', 'digits_mlp'])('%s keeps its accuracy', async (model) => {
    const output = path.join(folder, `${model}.onnx`);
    const data = { inputs: trained(model, 'test.npz'), labels: 'y', maxAccuracyDrop: 0.005 };
    const report = await quantizeModel(trained(model, 'model.onnx'), output, { ...BASE, ...data }, context);
    expect(report.validation.passed).toBe(true);
    expect(report.accuracyDrop).toBeLessThanOrEqual(0.005);
  });

  it('Conv has unsigned weights, MatMul signed ones', async () => {
    const output = path.join(folder, 'signs.onnx');
    const report = await quantizeModel(trained('digits_cnn', 'model.onnx'), output, BASE, context);
    const types = new Map(report.tensors.map(({ name, dtypeOut }) => [name, dtypeOut]));
    expect([types.get('conv3.weight'), types.get('fc1.weight')]).toEqual(['u8', 'i8']);
    expect(report.findings.map(({ code }) => code)).toContain('CONV_UNSIGNED');
  });

  it('the runtime computes with integers', async () => {
    const output = path.join(folder, 'kernels.onnx');
    await quantizeModel(trained('digits_cnn', 'model.onnx'), output, BASE, context);
    const optimized = path.join(folder, 'optimized.onnx');
    const session = await InferenceSession.create(output, { optimizedModelFilePath: optimized });
    await session.release();
    await withModel(optimized, context, async ({ model }) => {
      const ops = model.graph?.ops ?? new Map<string, number>();
      expect(ops.get('ConvInteger')).toBe(3);
      expect(ops.get('com.microsoft::DynamicQuantizeMatMul')).toBe(2);
      expect(['Conv', 'Gemm', 'MatMul'].filter((op) => ops.has(op))).toEqual([]);
    });
  });
});
