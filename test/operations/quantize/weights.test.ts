import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { type QuantizeOptions, quantizeModel } from '../../../src/operations/quantize/quantize.js';
import type { QuantizeReport } from '../../../src/operations/quantize/report.js';
import { testContext } from '../../support/context.js';

const TRAINED = fileURLToPath(new URL('../../../fixtures/trained/', import.meta.url));
const context = testContext(1);
const folder = mkdtempSync(path.join(tmpdir(), 'mlser-weights-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let made = 0;
const quantize = (
  model: string,
  options: Partial<QuantizeOptions> & { scheme: string },
): Promise<QuantizeReport> => {
  const at = (name: string): string => path.join(TRAINED, model, name);
  return quantizeModel(
    at('model.onnx'),
    path.join(folder, `${made++}.onnx`),
    { validate: 'run', device: 'cpu', inputs: at('test.npz'), labels: 'y', ...options },
    context,
  );
};

/** The most that the accuracy may sink, and the least signal to noise of every weight, in dB. */
const SCHEMES = [
  { scheme: 'int8-weights', drop: 0.005, quality: 40 },
  { scheme: 'int8-weights', drop: 0.005, quality: 40, block: 32 },
  { scheme: 'int8-weights', drop: 0.005, quality: 35, perChannel: false },
  { scheme: 'int8-weights', drop: 0.005, quality: 40, symmetric: false, weightSign: 'unsigned' },
  { scheme: 'int4-weights', drop: 0.02, quality: 17 },
  { scheme: 'int4-weights', drop: 0.02, quality: 17, method: 'mse' },
  { scheme: 'int4-weights', drop: 0.02, quality: 17, symmetric: false },
  { scheme: 'int4-weights', drop: 0.03, quality: 17, perChannel: true },
  { scheme: 'nf4', drop: 0.02, quality: 19 },
  { scheme: 'mxfp4', drop: 0.04, quality: 17 },
  { scheme: 'palette-8', drop: 0.005, quality: 40 },
  { scheme: 'palette-6', drop: 0.005, quality: 30 },
  { scheme: 'palette-4', drop: 0.01, quality: 18 },
  { scheme: 'palette-3', drop: 0.04, quality: 12 },
  { scheme: 'palette-4', drop: 0.01, quality: 19, block: 4 },
  { scheme: 'palette-3', drop: 0.04, quality: 13, block: 16 },
] as const;

const cases = ['digits_cnn', 'digits_mlp'].flatMap((model) =>
  SCHEMES.map(({ drop, quality, ...options }) => ({
    ...{ model, drop, quality, options },
    title: [model, ...Object.values(options)].join(' '),
  })),
);

describe('weights of real models', () => {
  it.each(cases)('$title', async ({ model, drop, quality, options }) => {
    const report = await quantize(model, options);
    expect(report.validation.passed).toBe(true);
    expect(report.accuracyDrop).toBeLessThanOrEqual(drop);
    const lines = report.tensors.filter(({ action }) => action === options.scheme);
    expect(lines.length).toBeGreaterThanOrEqual(3);
    for (const { name, bytesIn, bytesOut, error } of lines) {
      expect([name, bytesOut < bytesIn]).toEqual([name, true]);
      expect(error?.sqnrDb).toBeGreaterThan(quality);
    }
    expect(report.bytesOut).toBeLessThan(report.bytesIn * 0.45);
  });

  it('2 bits lose much, and less where the scale is looked for', async () => {
    const plain = await quantize('digits_mlp', { scheme: 'int2-weights' });
    const searched = await quantize('digits_mlp', { scheme: 'int2-weights', method: 'mse' });
    expect(plain.validation.passed).toBe(true);
    const noise = ({ tensors }: QuantizeReport): number =>
      Math.min(...tensors.map(({ error }) => error?.sqnrDb ?? 99));
    expect(noise(searched)).toBeGreaterThan(noise(plain));
  });

  it('palettes of groups of channels fit better, and what the runtime computes is what was told', async () => {
    const noise = async (more: Partial<QuantizeOptions>): Promise<Map<string, number>> => {
      const { tensors, validation } = await quantize('digits_mlp', { scheme: 'palette-2', ...more });
      expect(validation.passed).toBe(true);
      return new Map(tensors.flatMap(({ name, error }) => (error ? [[name, error.sqnrDb ?? 99]] : [])));
    };
    const [all, groups, channels] = [
      await noise({}),
      await noise({ block: 5 }),
      await noise({ perChannel: true }),
    ];
    for (const [name, db] of groups) {
      expect(db).toBeGreaterThan(all.get(name) ?? 99);
      expect(channels.get(name) ?? 99).toBeGreaterThan(db);
    }
    expect(groups.size).toBeGreaterThanOrEqual(2);
  });

  it('the operator set is raised only where the integers need it, and that is told', async () => {
    const codes = async (options: Partial<QuantizeOptions> & { scheme: string }): Promise<string[]> =>
      (await quantize('digits_mlp', { validate: 'structure', ...options })).findings.map(({ code }) => code);
    expect(await codes({ scheme: 'int8-weights' })).not.toContain('OPSET_RAISED');
    expect(await codes({ scheme: 'int8-weights', block: 64 })).toContain('OPSET_RAISED');
    expect(await codes({ scheme: 'palette-8' })).not.toContain('OPSET_RAISED');
    expect(await codes({ scheme: 'nf4' })).toContain('OPSET_RAISED');
  });

  it('only the weights that were asked for are changed', async () => {
    const report = await quantize('digits_cnn', { scheme: 'int8-weights', keep: [/fc/], exclude: [/35$/] });
    const done = report.tensors.flatMap(({ name, action }) => (action === 'int8-weights' ? [name] : []));
    expect(done).toEqual(['conv3.weight', 'onnx::Conv_38']);
  });

  it.each([0, 8, 24, 512])('blocks of %i are refused', async (block) => {
    await expect(quantize('digits_mlp', { scheme: 'int4-weights', block })).rejects.toMatchObject({
      code: 'E_USAGE',
    });
  });
});
