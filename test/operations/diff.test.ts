import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { convertModel } from '../../src/operations/convert.js';
import { diffModels } from '../../src/operations/diff.js';
import { testContext } from '../support/context.js';

const scratch = mkdtempSync(path.join(tmpdir(), 'mlser-diff-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const model = 'fixtures/trained/digits_cnn/model.safetensors';
const context = testContext(1);
const options = { validate: 'structure', device: 'cpu', force: true } as const;

/** The model, rounded to bf16 and back. */
async function rounded(): Promise<string> {
  const [half, back] = [path.join(scratch, 'half.safetensors'), path.join(scratch, 'back.safetensors')];
  await convertModel(model, half, { ...options, dtype: 'bf16' }, context);
  await convertModel(half, back, { ...options, dtype: 'f32' }, context);
  return back;
}

describe('diff', () => {
  it('lists values that moved within the tolerance apart, and counts them as unchanged', async () => {
    const back = await rounded();
    const strict = await diffModels(model, back, {}, context);
    expect(strict.same).toBe(false);
    expect(strict.tensors.changed.length).toBeGreaterThan(10);
    expect(strict.tensors.changed.every(({ reasons }) => reasons.join() === 'values')).toBe(true);

    const loose = await diffModels(model, back, { tolerance: 2 ** -8 }, context);
    expect(loose.same).toBe(true);
    expect(loose.tensors.changed).toEqual([]);
    expect(loose.tensors.tolerated?.map(({ name }) => name)).toEqual(
      strict.tensors.changed.map(({ name }) => name),
    );
    expect(loose.tensors.unchanged).toBe(19);
  });

  it('keeps a change of type a change, within any tolerance', async () => {
    await rounded();
    const report = await diffModels(model, path.join(scratch, 'half.safetensors'), { tolerance: 1 }, context);
    expect(report.same).toBe(false);
    expect(report.tensors.changed[0]).toMatchObject({ reasons: ['dtype'], withinTolerance: true });
  });
});
