import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { type PruneModelOptions, pruneModel } from '../../../src/operations/prune/prune.js';
import type { PruneReport } from '../../../src/operations/prune/report.js';
import { testContext } from '../../support/context.js';
import { schemaErrors } from '../../support/schema.js';

const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../../fixtures/${name}`, import.meta.url));
const CNN = fixture('trained/digits_cnn/model.onnx');
const TRANSFORMER = fixture('prune/transformer.onnx');
const calibration = fixture('trained/digits_cnn/calib.npz');
const folder = mkdtempSync(path.join(tmpdir(), 'mlser-share-'));
const at = (name: string): string => path.join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const prune = (input: string, output: string, options: Partial<PruneModelOptions>): Promise<PruneReport> =>
  pruneModel(
    input,
    at(output),
    { method: 'channels', validate: 'structure', device: 'cpu', ...options },
    testContext(1),
  );

describe('a size is met by whole channels and blocks', () => {
  it('with as few channels as suffice: the next smaller share would be too large', async () => {
    const report = await prune(CNN, 'fits.onnx', { targetSize: 22_000 });
    expect(schemaErrors('prune', report)).toEqual([]);
    expect(statSync(at('fits.onnx')).size).toBeLessThanOrEqual(22_000);
    expect(report.findings.map(({ code }) => code)).toContain('TARGET_SIZE');
    const less = await prune(CNN, 'less.onnx', { sparsity: (report.prune.asked ?? 0) - 0.002 });
    expect(less.bytesOut).toBeGreaterThan(22_000);
  });
  it('by blocks of a transformer', async () => {
    const whole = statSync(TRANSFORMER).size;
    const report = await prune(TRANSFORMER, 'blocks.onnx', {
      ...{ method: 'layers', calibration, targetSize: Math.round(whole * 0.8) },
    });
    expect(report.bytesOut).toBeLessThanOrEqual(whole * 0.8);
    expect(report.prune.channels?.after).toBeLessThan(report.prune.channels?.before ?? 0);
  });
  it('is refused where it cannot be had, or where the options say how much goes, and nothing is written', async () => {
    await expect(prune(CNN, 'no.onnx', { targetSize: 2000 })).rejects.toThrow(/\d+ at least/);
    await expect(prune(CNN, 'no.onnx', { targetSize: 20_000, sparsity: 0.3 })).rejects.toThrow(/--sparsity/);
    await expect(
      prune(TRANSFORMER, 'no.onnx', { method: 'layers', targetSize: 90_000, layers: [1] }),
    ).rejects.toThrow(/--layers/);
    expect(existsSync(at('no.onnx'))).toBe(false);
  });
});
