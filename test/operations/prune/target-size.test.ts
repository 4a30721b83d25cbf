import { existsSync, statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { PruneModelOptions } from '../../../src/operations/prune/prune.js';
import type { PruneReport } from '../../../src/operations/prune/report.js';
import { pruneSensitivity } from '../../../src/operations/prune/sensitivity.js';
import { testContext } from '../../support/context.js';
import { fixture } from '../../support/fixtures.js';
import { ownFolder } from '../../support/folders.js';
import { CNN, prunesInto, TEST } from '../../support/pruned.js';
import { schemaErrors } from '../../support/schema.js';

const at = ownFolder('prune-size');

const meet = (
  input: string,
  output: string,
  targetSize: number,
  options: Partial<PruneModelOptions> = {},
): Promise<PruneReport> =>
  prunesInto(at, 'magnitude', testContext(2))(input, output, { tolerance: 1e9, targetSize, ...options });

function checkFrontier({ frontier = [] }: PruneReport): void {
  expect(frontier.length).toBeGreaterThan(2);
  expect(frontier[0]).toMatchObject({ loss: 0, levels: {} });
  for (const [i, { bytes, loss }] of frontier.entries()) {
    if (i === 0) continue;
    expect(bytes).toBeLessThan(frontier[i - 1]!.bytes);
    expect(loss).toBeGreaterThan(frontier[i - 1]!.loss);
  }
}

describe('--target-size', () => {
  it.each([28_000, 14_000])('meets %i bytes in the native format, by errors of weights', async (size) => {
    const report = await meet(fixture('trained/digits_cnn/model.safetensors'), 'fits.mlck', size);
    expect(schemaErrors('prune', report)).toEqual([]);
    expect(report.validation).toMatchObject({ passed: true, level: 'run' });
    expect(statSync(at('fits.mlck')).size).toBe(report.bytesOut);
    expect(report.bytesOut).toBeLessThanOrEqual(size);
    // Not much smaller than it might be, either.
    expect(report.bytesOut).toBeGreaterThan(size * 0.85);
    checkFrontier(report);
  });

  it('meets a size as ONNX, by runs, and weighs accuracy', async () => {
    const chosen = { include: [/^(conv3|fc1)/], sparsity: 0.8, ...TEST };
    const report = await meet(CNN, 'fits.onnx', 27_000, chosen);
    expect(schemaErrors('prune', report)).toEqual([]);
    expect(report.validation).toMatchObject({ passed: true, level: 'run' });
    expect(statSync(at('fits.onnx')).size).toBeLessThanOrEqual(27_000);
    checkFrontier(report);
    expect(report.prune).toMatchObject({ asked: null, scope: 'tensor' });
    for (const { storedBytes, denseBytes } of report.prune.tensors)
      expect(storedBytes).toBeLessThan(denseBytes);
  });

  it('refuses what cannot be had, with the size that can', async () => {
    const source = fixture('trained/digits_mlp/model.safetensors');
    const error = await meet(source, 'small.mlck', 5000, { sparsity: 0.8 }).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code: 'E_UNSUPPORTED', details: { targetSize: 5000 } });
    expect(existsSync(at('small.mlck'))).toBe(false);
    const { least } = (error as { details: { least: number } }).details;
    const report = await meet(source, 'small.mlck', least, { sparsity: 0.8 });
    expect(report.bytesOut).toBeLessThanOrEqual(least);
    expect(report.prune.tensors.every(({ sparsity }) => sparsity < 0.801)).toBe(true);
  });

  it('factors as far as a size asks for', async () => {
    const include = [/^[14]/];
    const report = await meet(fixture('trained/digits_mlp/model.onnx'), 'thin.onnx', 30_000, {
      method: 'low-rank',
      include,
    });
    expect(report.validation).toMatchObject({ passed: true, level: 'run' });
    expect(statSync(at('thin.onnx')).size).toBeLessThanOrEqual(30_000);
    checkFrontier(report);
  });

  it('says where nothing gets smaller, and what contradicts it', async () => {
    const source = fixture('trained/digits_mlp/model.safetensors');
    await expect(meet(source, 'dense.safetensors', 10_000)).rejects.toMatchObject({
      code: 'E_UNSUPPORTED',
      hint: expect.stringContaining('.mlck'),
    });
    for (const contradiction of [{ method: 'n:m' }, { method: 'low-rank', rank: 3 }] as const)
      await expect(meet(CNN, 'no.onnx', 20_000, contradiction)).rejects.toMatchObject({ code: 'E_USAGE' });
  });
});

describe('sensitivity to pruning', () => {
  const options = { validate: 'run', device: 'cpu' } as const;

  it('ranks the weights of a trained classifier by what pruning each alone costs', async () => {
    const report = await pruneSensitivity(
      CNN,
      { ...options, ...TEST, method: 'magnitude', sparsity: 0.5 },
      testContext(2),
    );
    expect(schemaErrors('sensitivity', report)).toEqual([]);
    expect(report.scheme).toBe('magnitude 0.5');
    // The first convolution carries the scales of a folded norm.
    expect(report.layers[0]!.name).toBe('onnx::Conv_35');
    const drops = report.layers.map(({ accuracyDrop }) => accuracyDrop!);
    expect(drops).toEqual([...drops].sort((a, b) => b - a));
    expect(report.layers).toHaveLength(5);
  });

  it('knows low rank, and weights without a graph', async () => {
    const thin = await pruneSensitivity(
      fixture('trained/digits_mlp/model.onnx'),
      { ...options, method: 'low-rank', energy: 0.9 },
      testContext(1),
    );
    expect(thin.layers.map(({ name }) => name).sort()).toEqual(['1.weight', '4.weight', '7.weight']);
    for (const { cosine, bytesOut, bytesIn } of thin.layers) {
      expect(cosine).toBeGreaterThan(0.9);
      expect(bytesOut).toBeLessThanOrEqual(bytesIn);
    }
    const plain = await pruneSensitivity(
      fixture('trained/digits_mlp/model.safetensors'),
      { ...options, method: 'n:m' },
      testContext(1),
    );
    expect(schemaErrors('sensitivity', plain)).toEqual([]);
    expect(plain).toMatchObject({ synthetic: false, findings: [{ code: 'NOT_RUN' }] });
    const errors = plain.layers.map(({ weightSqnrDb }) => weightSqnrDb!);
    expect(errors).toEqual([...errors].sort((a, b) => a - b));
  });

  it('knows groups of channels', async () => {
    const report = await pruneSensitivity(
      fixture('trained/digits_mlp/model.onnx'),
      { ...options, method: 'channels', sparsity: 0.5 },
      testContext(1),
    );
    expect(report.layers.map(({ name }) => name).sort()).toEqual(['1.weight', '4.weight']);
    for (const { bytesIn, bytesOut } of report.layers) expect(bytesOut).toBeLessThan(bytesIn);
  });

  it('refuses to factor what has no graph', async () => {
    await expect(
      pruneSensitivity(
        fixture('trained/digits_mlp/model.safetensors'),
        { ...options, method: 'low-rank' },
        testContext(1),
      ),
    ).rejects.toMatchObject({ code: 'E_UNSUPPORTED' });
  });
});
