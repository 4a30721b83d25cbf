import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { withModel } from '../../../src/operations/open.js';
import { type PruneModelOptions, pruneModel } from '../../../src/operations/prune/prune.js';
import type { PruneReport } from '../../../src/operations/reports.js';
import { testContext } from '../../support/context.js';
import { schemaErrors } from '../../support/schema.js';

const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../../fixtures/${name}`, import.meta.url));
const MLP = fixture('trained/digits_mlp/model.onnx');
const context = testContext(1);
const folder = mkdtempSync(path.join(tmpdir(), 'mlser-low-rank-'));
const at = (name: string): string => path.join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const factor = (input: string, options: Partial<PruneModelOptions> = {}): Promise<PruneReport> =>
  pruneModel(
    input,
    at('out.onnx'),
    { method: 'low-rank', validate: 'run', device: 'cpu', force: true, ...options },
    context,
  );

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
