import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { tensorMap } from '../../../src/core/model.js';
import { readTensor } from '../../../src/core/tensor.js';
import { compareTensors } from '../../../src/kernels/compare.js';
import { convertModel } from '../../../src/operations/convert.js';
import { withModels } from '../../../src/operations/open.js';
import { type QuantizeOptions, quantizeModel } from '../../../src/operations/quantize/quantize.js';
import type { QuantizeReport } from '../../../src/operations/reports.js';
import { dequantize } from '../../../src/transforms/dequantize.js';
import { QUANTIZATION_KEY } from '../../../src/transforms/quantized-record.js';
import { testContext } from '../../support/context.js';

const TRAINED = fileURLToPath(new URL('../../../fixtures/trained/digits_cnn/', import.meta.url));
const SOURCE = path.join(TRAINED, 'model.safetensors');
const context = testContext(1);
const folder = mkdtempSync(path.join(tmpdir(), 'mlser-tensors-'));
const at = (name: string): string => path.join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const quantize = (
  output: string,
  options: Partial<QuantizeOptions> & { scheme: string },
): Promise<QuantizeReport> =>
  quantizeModel(SOURCE, at(output), { validate: 'run', device: 'cpu', force: true, ...options }, context);

describe('integers in formats without a graph', () => {
  const cases = ['safetensors', 'mlck'].flatMap((format) =>
    (
      [
        { scheme: 'int8-weights' },
        { scheme: 'int8-weights', symmetric: false },
        { scheme: 'int8-weights', block: 16 },
        { scheme: 'int8-weights', perChannel: false, weightSign: 'unsigned' },
        { scheme: 'int4-weights' },
        { scheme: 'int4-weights', symmetric: false, method: 'mse' },
      ] as const
    ).map((options) => ({ format, options, title: [format, ...Object.values(options)].join(' ') })),
  );

  it.each(cases)('are floats again with --dtype: $title', async ({ format, options }) => {
    const stored = at(`stored.${format}`);
    const report = await quantize(`stored.${format}`, options);
    expect(report.validation).toMatchObject({ passed: true });
    const done = report.tensors.filter(({ action }) => action === options.scheme);
    expect(done.map(({ name }) => name).sort()).toEqual([
      ...['conv1.weight', 'conv2.weight', 'conv3.weight', 'fc1.weight', 'fc2.weight'],
    ]);
    await convertModel(
      stored,
      at('back.safetensors'),
      { dtype: 'f32', validate: 'run', device: 'cpu', force: true },
      context,
    );
    await withModels([SOURCE, at('back.safetensors')], context, async ([before, after]) => {
      if (!before || !after) throw new Error('not opened');
      expect(after.model.metadata.has(QUANTIZATION_KEY)).toBe(false);
      const found = tensorMap(after.model);
      expect([...found.keys()].sort()).toEqual([...tensorMap(before.model).keys()].sort());
      const pairs = before.model.tensors.flatMap((a) => {
        const b = found.get(a.info.name);
        return b ? [{ a, b }] : [];
      });
      const differences = await compareTensors(pairs, context);
      pairs.forEach(({ a, b }, i) => {
        expect(b.info).toEqual(a.info);
        // Exactly what the report said was lost.
        const told = done.find(({ name }) => name === a.info.name)?.error;
        expect(differences[i]?.rmse).toBe(told?.rmse ?? 0);
      });
    });
  });

  it('two quantizations take their own tensors', async () => {
    await quantize('first.safetensors', { scheme: 'int8-weights', include: [/^fc/] });
    const second = quantizeModel(
      at('first.safetensors'),
      at('second.safetensors'),
      { scheme: 'int4-weights', validate: 'none', device: 'cpu' },
      context,
    );
    await expect(second).rejects.toMatchObject({ code: 'E_UNSUPPORTED' });
    const report = await quantizeModel(
      at('first.safetensors'),
      at('second.safetensors'),
      { scheme: 'int4-weights', requantize: true, exclude: [/^fc/], validate: 'run', device: 'cpu' },
      context,
    );
    const done = report.tensors.flatMap(({ name, action }) => (action === 'int4-weights' ? [name] : []));
    expect(done.sort()).toEqual(['conv1.weight', 'conv2.weight', 'conv3.weight']);
    await withModels([at('second.safetensors')], context, async ([opened]) => {
      if (!opened) throw new Error('not opened');
      const back = await dequantize().apply(opened.model);
      for (const { info } of back.tensors) expect([info.name, info.dtype]).not.toContain('u8');
    });
  });

  it('metadata that does not fit the tensors is refused', async () => {
    await quantize('stored.mlck', { scheme: 'int8-weights' });
    await withModels([at('stored.mlck')], context, async ([opened]) => {
      const { model } = opened ?? {};
      const text = model?.metadata.get(QUANTIZATION_KEY);
      if (!model || typeof text !== 'string') throw new Error('no metadata');
      const changes: readonly ((text: string) => string)[] = [
        () => '{',
        () => '[]',
        () => '{"version":1,"tensors":7}',
        (old) => old.replace('"shape":[32,96]', '"shape":[32,97]'),
        (old) => old.replace('"shape":[32,96]', '"shape":[-1]'),
        (old) => old.replace('"axis":0', '"axis":9'),
        (old) => old.replace('"dtype":"i8"', '"dtype":"f32"'),
        (old) => old.replace('fc1.weight.scale', 'nowhere'),
        (old) => old.replace('"scale":"fc1.weight.scale"', '"scale":"fc2.weight.scale"'),
      ];
      for (const change of changes) {
        const changed = change(text);
        expect(changed).not.toBe(text);
        const metadata = new Map(model.metadata).set(QUANTIZATION_KEY, changed);
        await expect((async () => dequantize().apply({ ...model, metadata }))()).rejects.toMatchObject({
          code: 'E_MALFORMED',
        });
      }
      const newer = new Map(model.metadata).set(QUANTIZATION_KEY, '{"version":2}');
      await expect((async () => dequantize().apply({ ...model, metadata: newer }))()).rejects.toMatchObject({
        code: 'E_UNSUPPORTED',
      });
    });
  });
});

describe('smaller floats', () => {
  it.each([
    ['fp16', 'f16', 60],
    ['bf16', 'bf16', 50],
    ['fp8-e4m3', 'f8_e4m3fn', 28],
    ['fp8-e5m2', 'f8_e5m2', 23],
  ] as const)('%s in a format without a graph', async (scheme, dtype, quality) => {
    const report = await quantize(`${scheme}.safetensors`, { scheme });
    expect(report.validation.passed).toBe(true);
    const done = report.tensors.filter(({ action }) => action === scheme);
    expect(done.length).toBeGreaterThan(4);
    for (const { error, dtypeOut } of done) {
      expect(dtypeOut).toBe(dtype);
      expect(error?.sqnrDb).toBeGreaterThan(quality);
    }
    await withModels([at(`${scheme}.safetensors`)], context, async ([opened]) => {
      const tensor = opened?.model.tensors.find(({ info }) => info.name === 'fc1.weight');
      expect(tensor?.info.dtype).toBe(dtype);
      expect(tensor && (await readTensor(tensor)).length).toBe(
        (32 * 96 * (dtype.startsWith('f8') ? 8 : 16)) / 8,
      );
    });
  });

  it.each(['fp8-e4m3', 'fp8-e5m2'])('%s in a graph', async (scheme) => {
    const report = await quantizeModel(
      path.join(TRAINED, 'model.onnx'),
      at(`${scheme}.onnx`),
      { scheme, validate: 'run', device: 'cpu', inputs: path.join(TRAINED, 'test.npz'), labels: 'y' },
      context,
    );
    expect(report.validation.passed).toBe(true);
    expect(report.accuracyDrop).toBeLessThanOrEqual(0.02);
    expect(report.findings.map(({ code }) => code)).toContain('OPSET_RAISED');
    expect(report.tensors.filter(({ action }) => action === scheme)).toHaveLength(5);
  });
});
