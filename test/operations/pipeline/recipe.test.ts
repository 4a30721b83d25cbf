import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { isMlserError } from '../../../src/errors.js';
import { recipeSchema } from '../../../src/operations/pipeline/json-schema.js';
import { parseRecipeOverride } from '../../../src/operations/pipeline/override.js';
import { gateOf, parseRecipe } from '../../../src/operations/pipeline/recipe.js';
import { STEPS } from '../../../src/operations/pipeline/steps.js';

const PUBLISHED = JSON.parse(readFileSync('schemas/pipeline.schema.json', 'utf8'));
const ajv = new Ajv2020({
  strict: true,
  strictRequired: false,
  allowUnionTypes: true,
  strictTypes: false,
  formats: { regex: true },
});
const fits = ajv.compile(PUBLISHED);

/** Message and hint of the refusal. */
function refusal(recipe: unknown, overrides: readonly string[] = []): string {
  try {
    const json = typeof recipe === 'string' ? recipe : JSON.stringify(recipe);
    parseRecipe(json, { file: 'edge.json', overrides: overrides.map(parseRecipeOverride) });
  } catch (error) {
    if (!isMlserError(error)) throw error;
    expect(['E_USAGE', 'E_MALFORMED']).toContain(error.code);
    return `${error.message} | ${error.hint ?? ''}`;
  }
  return 'taken';
}

const prune = { do: 'prune', sparsity: 0.3 };
const quantize = { do: 'quantize', scheme: 'int8-weights' };

describe('a recipe', () => {
  it.each<[string, unknown, RegExp]>([
    ['no object', [], /the recipe is a list, where an object was needed/],
    ['no steps', {}, /the recipe lacks "steps"/],
    ['empty steps', { steps: [] }, /\/steps is empty/],
    [
      'a key that is nearly right',
      { steps: [prune], ouput: 'x' },
      /\/ouput is not known \| did you mean "output"\? known here: .*gate/,
    ],
    [
      'a flag in place of a key',
      { steps: [{ ...prune, 'max-accuracy-drop': 0 }] },
      /\/steps\/0\/max-accuracy-drop is not known \| did you mean "maxAccuracyDrop"/,
    ],
    ['__proto__', '{"steps":[{"do":"prune","__proto__":{}}]}', /\/steps\/0\/__proto__ is not known/],
    ['toString', { steps: [{ ...prune, toString: 1 }] }, /\/steps\/0\/toString is not known/],
    [
      'a step that is nearly right',
      { steps: [{ do: 'qauntize' }] },
      /\/steps\/0\/do is "qauntize", which is no step \| did you mean "quantize"\? known: convert, prune, optimize/,
    ],
    ['a step without do', { steps: [{ sparsity: 0.1 }] }, /\/steps\/0 does not say what to "do"/],
    [
      'a share past 1',
      { steps: [{ ...prune, sparsity: 1.5 }] },
      /\/steps\/0\/sparsity is 1.5 \| write a number from 0 to 1/,
    ],
    [
      'a text for a number',
      { steps: [{ ...prune, sparsity: 'half' }] },
      /\/steps\/0\/sparsity is "half", where a number was needed/,
    ],
    [
      'a word that is not among those allowed',
      { steps: [{ ...prune, method: 'magnitud' }] },
      /\/steps\/0\/method is "magnitud" \| did you mean "magnitude"\? allowed: "magnitude", "threshold"/,
    ],
    [
      'a scheme that is none',
      { steps: [{ do: 'quantize', scheme: 'int8-statik' }] },
      /\/steps\/0\/scheme is "int8-statik" \| did you mean "int8-static"/,
    ],
    ['no scheme', { steps: [{ do: 'quantize' }] }, /\/steps\/0 lacks "scheme" or "targetSize"/],
    [
      'a pattern that is none',
      { steps: [{ do: 'prune', method: 'n:m', pattern: '4:2' }] },
      /\/steps\/0\/pattern is "4:2": the pattern 4:2 leaves nothing/,
    ],
    [
      'a size that is none',
      { steps: [{ ...quantize, targetSize: 'small' }] },
      /\/steps\/0\/targetSize is "small", which is no size/,
    ],
    [
      'a regular expression that is none',
      { steps: [{ ...prune, keep: ['('] }] },
      /\/steps\/0\/keep\/0 is "\(", which is no regular expression/,
    ],
    [
      'a value for a list',
      { steps: [{ ...prune, keep: 'fc' }] },
      /\/steps\/0\/keep is "fc", where a list was needed/,
    ],
    [
      'an option of another step',
      { steps: [{ ...prune, scheme: 'fp16' }] },
      /\/steps\/0\/scheme is not known/,
    ],
    [
      'a level that is none',
      { gate: { validate: 'all' }, steps: [prune] },
      /\/gate\/validate is "all" \| allowed: "none", "structure"/,
    ],
    ['another version', { version: 2, steps: [prune] }, /\/version is 2 \| allowed: 1/],
    ['a key twice', '{"steps":[{"do":"prune"}],"steps":[]}', /twice/],
    ['no JSON', '{"steps":[', /edge\.json/],
  ])('is refused with its place: %s', (_, recipe, message) => {
    expect(refusal(recipe)).toMatch(message);
    // Editors say so too, where JSON Schema can.
    const json = typeof recipe === 'string' ? undefined : recipe;
    const beyondSchema = /pattern is "4:2"|which is no (size|regular)|scheme is "int8-statik"/;
    if (json !== undefined && !beyondSchema.test(refusal(recipe))) expect(fits(json)).toBe(false);
  });

  it('is taken as its schema says, whatever step there is', () => {
    const recipe = {
      $schema: './schemas/pipeline.schema.json',
      ...{ version: 1, name: 'all', description: 'of them', input: 'a.onnx', output: 'b.onnx', to: 'onnx' },
      gate: {
        validate: 'weights',
        device: 'cpu',
        inputs: 'x.npz',
        labels: 'y',
        tolerance: 0.1,
        maxSize: '20KB',
      },
      steps: [
        { do: 'convert', dtype: 'f16', rename: ['s/a/b/'], metadata: { a: 'b' }, exclude: ['^fc'] },
        { ...prune, name: 'half', keep: ['^fc[.]'], validate: 'none' },
        { do: 'prune', method: 'n:m', pattern: '2:4', maxAccuracyDrop: 0.01 },
        {
          do: 'quantize',
          scheme: 'int4-weights+fp16',
          overrides: ['fc.*=int8-weights,block=64'],
          activationBits: 16,
        },
        { do: 'quantize', targetSize: 20000, refine: 'hqq', requantize: true },
        { do: 'prune', method: 'channels', importance: 'l2', compensate: 'bias', calibration: 'c.npz' },
        { do: 'prune', method: 'layers', layers: [0, 3], multipleOf: 4 },
        { do: 'optimize', level: 'runtime', setDim: { batch: '1' }, opset: 18 },
        { do: 'optimize', level: 'basic', skip: ['dead-code'], foldLimit: '1MiB' },
        { do: 'validate', expected: 'out.npz', tolerance: 1e-3 },
        { do: 'meta', set: { license: 'mit' }, unset: ['draft'] },
        { do: 'checksum', content: 'ab' },
      ],
    };
    expect(refusal(recipe)).toBe('taken');
    fits(recipe);
    expect(fits.errors ?? []).toEqual([]);
    expect(new Set(recipe.steps.map(({ do: id }) => id))).toEqual(new Set(STEPS.map(({ id }) => id)));
  });

  it('has the published schema, with a word on every key', () => {
    // mlser pipeline --schema > schemas/pipeline.schema.json
    expect(PUBLISHED).toEqual(JSON.parse(JSON.stringify(recipeSchema())));
    for (const [name, { properties }] of Object.entries<{ properties: object }>({
      recipe: PUBLISHED,
      ...PUBLISHED.$defs,
    }))
      for (const [key, value] of Object.entries<{ description?: string }>(properties as never))
        expect((value.description ?? '').length, `${name}.${key}`).toBeGreaterThan(5);
  });

  it('is shown in the README as it is shipped', () => {
    const shown =
      /```json\n([\s\S]*?pipeline\.schema[\s\S]*?)```/.exec(readFileSync('README.md', 'utf8'))?.[1] ?? '';
    expect(shown).toBe(readFileSync('fixtures/trained/digits_cnn/edge.json', 'utf8'));
    expect(fits(JSON.parse(shown))).toBe(true);
  });

  it('names files from its own folder, and steps take level and data from the whole', () => {
    const recipe = parseRecipe(
      JSON.stringify({
        input: 'model.onnx',
        output: 'https://example.com/x',
        gate: { inputs: 'data/test.npz', labels: 'y', tolerance: 0.5, validate: 'weights' },
        steps: [
          { ...quantize, calibration: '../calib.npz' },
          { ...prune, validate: 'run', inputs: '/abs/x.npz', tolerance: 1 },
        ],
      }),
      { file: 'recipes/edge.json' },
    );
    expect(recipe.input).toBe('recipes/model.onnx');
    expect(recipe.output).toBe('https://example.com/x');
    const [first, second] = recipe.steps;
    expect(first?.values['calibration']).toBe('calib.npz');
    expect(gateOf(recipe, first!)).toEqual({
      validate: 'weights',
      device: 'cpu',
      inputs: 'recipes/data/test.npz',
      labels: 'y',
    });
    expect(gateOf(recipe, second!)).toEqual({
      validate: 'run',
      device: 'cpu',
      inputs: '/abs/x.npz',
      labels: 'y',
      tolerance: 1,
    });
  });
});

describe('--set', () => {
  it('puts JSON, or text, in any place', () => {
    const recipe = parseRecipe(JSON.stringify({ steps: [prune] }), {
      overrides: [
        '/steps/0/sparsity=0.5',
        'output=b.onnx',
        '/gate/labels=y',
        '/steps/-={"do":"quantize","scheme":"fp16"}',
        'name="7"',
      ].map(parseRecipeOverride),
    });
    expect(recipe.steps.map(({ values }) => values)).toEqual([{ sparsity: 0.5 }, { scheme: 'fp16' }]);
    expect(recipe).toMatchObject({ output: 'b.onnx', gate: { labels: 'y' }, name: '7' });
  });
  it('is checked as the recipe is', () => {
    expect(refusal({ steps: [prune] }, ['/steps/0/sparsity=2'])).toMatch(/\/steps\/0\/sparsity is 2/);
    expect(refusal({ steps: [prune] }, ['/steps/7/sparsity=0.2'])).toMatch(/no such place/);
    expect(refusal({ steps: [prune] }, ['/steps/0/sparsity/x=1'])).toMatch(/no such place/);
    expect(() => parseRecipeOverride('sparsity')).toThrow(/pointer=value/);
  });
});
