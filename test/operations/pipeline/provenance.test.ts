import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { checksumModel } from '../../../src/operations/checksum.js';
import { inspectModel } from '../../../src/operations/inspect.js';
import { parseRecipeOverride } from '../../../src/operations/pipeline/override.js';
import { pipeline } from '../../../src/operations/pipeline/pipeline.js';
import { portablePath } from '../../../src/operations/pipeline/portable.js';
import { parseRecipe, readRecipe } from '../../../src/operations/pipeline/recipe.js';
import { mlser, TRAINED } from '../../support/cli.js';
import { testContext } from '../../support/context.js';
import { folderOfEachTest } from '../../support/folders.js';

const at = folderOfEachTest('provenance');
const context = testContext();

describe('what an output says of its making', () => {
  it.each(['out.onnx', 'out.safetensors', 'out.mlck'])(
    '%s: recipe, figures and parent, and no path of this machine',
    async (output) => {
      const steps = [
        { do: 'prune', sparsity: 0.3 },
        {
          do: 'quantize',
          scheme: 'int8-weights',
          ...(output === 'out.onnx' ? { calibration: path.join(TRAINED, 'calib.npz') } : {}),
        },
      ];
      const recipe = {
        ...{
          $schema: '/somewhere/schema.json',
          name: 'small',
          input: path.join(TRAINED, 'model.onnx'),
          output: at(output),
        },
        gate:
          output === 'out.onnx'
            ? { inputs: path.join(TRAINED, 'test.npz'), labels: 'y' }
            : { validate: 'weights' },
        steps,
      };
      const report = await pipeline(
        parseRecipe(JSON.stringify(recipe), {
          file: at('r.json'),
          overrides: [parseRecipeOverride('/steps/0/sparsity=0.2')],
        }),
        {},
        context,
      );
      expect(report.validation.passed).toBe(true);
      const { metadata } = await inspectModel(at(output), {}, context);
      const record = JSON.parse(String(metadata['provenance.recipe']));
      expect(record).toMatchObject({
        mlser: JSON.parse(fs.readFileSync('package.json', 'utf8')).version,
        recipe: {
          name: 'small',
          input: 'model.onnx',
          output,
          steps: [{ do: 'prune', sparsity: 0.2 }, { do: 'quantize' }],
        },
        steps: [
          { do: 'prune', sparsity: expect.closeTo(0.2, 3), zeros: expect.any(Number) },
          { do: 'quantize', quantized: expect.any(Number), worstSqnrDb: expect.any(Number) },
        ],
      });
      if (output === 'out.onnx')
        expect(record.steps[0]).toMatchObject({ accuracyBefore: 0.986, accuracyAfter: expect.any(Number) });
      expect(metadata['provenance.parent']).toBe(
        (await checksumModel(path.join(TRAINED, 'model.onnx'), context)).content,
      );
      for (const place of [at(''), TRAINED, tmpdir(), '/somewhere'])
        expect(fs.readFileSync(at(output)).includes(place), place).toBe(false);
    },
  );

  it('is enough to make it again', async () => {
    for (const name of ['model.onnx', 'test.npz', 'calib.npz', 'edge.json'])
      fs.copyFileSync(path.join(TRAINED, name), at(name));
    expect(mlser(['pipeline', 'edge.json', '-q'], { cwd: at('') })).toMatchObject({
      code: 0,
      err: '',
      out: '',
    });
    const printed = mlser(['pipeline', '--from', 'edge.onnx'], { cwd: at('') });
    expect(printed).toMatchObject({ code: 0, err: '' });
    fs.writeFileSync(at('again.json'), printed.out);
    const recipe = await readRecipe(at('again.json'));
    expect(recipe.steps.map(({ kind }) => kind.id)).toEqual(['prune', 'quantize', 'validate']);
    fs.renameSync(at('edge.onnx'), at('first.onnx'));
    expect(mlser(['pipeline', 'again.json', '-q'], { cwd: at('') })).toMatchObject({ code: 0, err: '' });
    expect(fs.readFileSync(at('edge.onnx')).equals(fs.readFileSync(at('first.onnx')))).toBe(true);
  });

  it('is missed where there is none, and where it is none', async () => {
    fs.copyFileSync(path.join(TRAINED, 'model.onnx'), at('model.onnx'));
    expect(mlser(['pipeline', '--from', 'model.onnx'], { cwd: at('') })).toMatchObject({
      code: 2,
      err: expect.stringMatching(/does not say/),
    });
    expect(
      mlser(['meta', 'set', 'model.onnx', 'provenance.recipe={"steps":[]}', '-q'], { cwd: at('') }),
    ).toMatchObject({ code: 0 });
    expect(mlser(['pipeline', '--from', 'model.onnx'], { cwd: at('') })).toMatchObject({
      code: 2,
      err: expect.stringMatching(/holds no recipe/),
    });
    expect(mlser(['inspect', 'model.onnx'], { cwd: at('') })).toMatchObject({ code: 0, err: '' });
  });

  it('is told as lost by formats without metadata', async () => {
    const recipe = {
      input: path.join(TRAINED, 'model.safetensors'),
      output: 'out.npz',
      gate: { validate: 'weights' },
      steps: [{ do: 'prune' }],
    };
    const report = await pipeline(parseRecipe(JSON.stringify(recipe), { file: at('r.json') }), {}, context);
    expect(report.findings.map(({ code }) => code)).toContain('RECIPE_NOT_KEPT');
  });
});

it.each([
  ['model.onnx', 'model.onnx'],
  ['data/model.onnx', 'data/model.onnx'],
  ['./model.onnx', './model.onnx'],
  ['a/../model.onnx', 'a/../model.onnx'],
  ['../model.onnx', 'model.onnx'],
  ['a/../../model.onnx', 'model.onnx'],
  ['/home/me/model.onnx', 'model.onnx'],
  ['/home/me/out/', 'out'],
  ['C:\\Users\\me\\model.onnx', 'model.onnx'],
  ['..\\model.onnx', 'model.onnx'],
  ['https://me:secret@example.com/a/model.onnx?token=secret#x', 'https://example.com/a/model.onnx'],
])('the path %s is stored as %s', (given, stored) => expect(portablePath(given)).toBe(stored));
