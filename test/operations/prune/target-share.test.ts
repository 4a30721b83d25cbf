import { existsSync, statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { PruneModelOptions } from '../../../src/operations/prune/prune.js';
import type { PruneReport } from '../../../src/operations/prune/report.js';
import { ownFolder } from '../../support/folders.js';
import { CNN, calibration, prunesInto, TRANSFORMER } from '../../support/pruned.js';
import { schemaErrors } from '../../support/schema.js';

const at = ownFolder('share');
const structure = { validate: 'structure' } as const;
const prune = (input: string, output: string, options: Partial<PruneModelOptions>): Promise<PruneReport> =>
  prunesInto(at, 'channels')(input, output, { ...structure, ...options });

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
