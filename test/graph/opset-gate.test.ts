import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { convertModel } from '../../src/operations/convert.js';
import { testContext } from '../support/context.js';

const scratch = mkdtempSync(path.join(tmpdir(), 'mlser-opset-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('convert --opset through the gate', () => {
  it.each([
    ['mlp.ts13.onnx', 17],
    ['mlp.ts13.onnx', 21],
    ['mlp.dynamo21.onnx', 13],
    ['control_flow.ts17.onnx', 20],
    ['external_onefile/model.onnx', 19],
  ] as const)('%s to %i', async (name, opset) => {
    const out = path.join(scratch, `${path.basename(name)}-${opset}.onnx`);
    const options = { opset, validate: 'run', device: 'cpu' } as const;
    const report = await convertModel(path.join('fixtures/onnx', name), out, options, testContext());
    expect(report.validation).toMatchObject({ passed: true, structure: true, run: { reference: 'source' } });
    expect(report.validation.weights).toMatchObject({ checked: report.tensors.length, lossy: 0 });
    for (const { neededTolerance } of report.validation.run?.outputs ?? [])
      expect(neededTolerance).toBeLessThan(1e-6);
    expect(report.findings.map(({ code }) => code)).toContain('OPSET_CONVERTED');
    expect(existsSync(out)).toBe(true);
  });

  it('allows half precision its rounding', async () => {
    const out = path.join(scratch, 'half.onnx');
    const options = { opset: 21, validate: 'run', device: 'cpu' } as const;
    const report = await convertModel('fixtures/onnx/mlp.fp16_unsorted.onnx', out, options, testContext());
    expect(report.validation).toMatchObject({ passed: true, run: { tolerance: 1e-2 } });
  });

  it('is exact where nothing was to do', async () => {
    const out = path.join(scratch, 'same.onnx');
    const options = { opset: 13, validate: 'run', device: 'cpu' } as const;
    const report = await convertModel('fixtures/onnx/mlp.ts13.onnx', out, options, testContext());
    expect(report.findings.map(({ code }) => code)).toContain('OPSET_SAME');
    expect(report.validation.run?.tolerance).toBe(1e-5);
  });

  it('tells new constants from copies in the report', async () => {
    const out = path.join(scratch, 'added.onnx');
    const options = { opset: 13, validate: 'structure', device: 'cpu' } as const;
    const report = await convertModel('fixtures/onnx/mlp.dynamo21.onnx', out, options, testContext());
    const added = report.tensors.filter(({ action }) => action === 'add').map(({ name }) => name);
    expect(added.length).toBeGreaterThan(0);
    expect(added.every((name) => name.startsWith('opset_'))).toBe(true);
  });

  it('gives the same bytes every time', async () => {
    const [a, b] = [path.join(scratch, 'a.onnx'), path.join(scratch, 'b.onnx')];
    const options = { opset: 13, validate: 'none', device: 'cpu' } as const;
    for (const out of [a, b])
      await convertModel('fixtures/onnx/mlp.dynamo21.onnx', out, options, testContext());
    expect(readFileSync(a).equals(readFileSync(b))).toBe(true);
  });

  it('is for graphs', async () => {
    const options = { opset: 17, validate: 'none', device: 'cpu' } as const;
    const out = path.join(scratch, 'weights.safetensors');
    await expect(
      convertModel('fixtures/onnx/mlp.ts13.onnx', out, options, testContext()),
    ).rejects.toMatchObject({
      code: 'E_USAGE',
    });
  });
});
