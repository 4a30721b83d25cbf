import * as fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { convertModel } from '../../../src/operations/convert.js';
import { diffModels } from '../../../src/operations/diff.js';
import { metaEdit } from '../../../src/operations/meta.js';
import { optimizeModel } from '../../../src/operations/optimize/optimize.js';
import { type PipelineOptions, pipeline } from '../../../src/operations/pipeline/pipeline.js';
import { parseRecipe } from '../../../src/operations/pipeline/recipe.js';
import type { PipelineReport } from '../../../src/operations/pipeline/report.js';
import { pruneModel } from '../../../src/operations/prune/prune.js';
import { quantizeModel } from '../../../src/operations/quantize/quantize.js';
import { testContext } from '../../support/context.js';
import { folderOfEachTest } from '../../support/folders.js';

const CNN = path.resolve('fixtures/trained/digits_cnn');
const cnn = (name: string): string => path.join(CNN, name);
const at = folderOfEachTest('pipeline');
const bytes = (name: string): Buffer => fs.readFileSync(at(name));
const context = testContext();
const gate = { inputs: cnn('test.npz'), labels: 'y' };
const proof = { validate: 'run', device: 'cpu' } as const;
const quick = { validate: 'structure', device: 'cpu' } as const;

const made = (recipe: object, options: PipelineOptions = {}): Promise<PipelineReport> =>
  pipeline(parseRecipe(JSON.stringify(recipe), { file: at('recipe.json') }), options, context);

/** The output without what the pipeline wrote into its metadata. */
async function plain(name: string): Promise<Buffer> {
  const unset = ['provenance.recipe', 'provenance.parent'];
  await metaEdit(at(name), { unset, output: at(`plain-${name}`) }, quick, context);
  return bytes(`plain-${name}`);
}

describe('a pipeline gives what its verbs give one after the other, byte for byte', () => {
  it('prune, quantize with calibration', async () => {
    const report = await made({
      ...{ input: cnn('model.onnx'), output: 'out.onnx', gate },
      steps: [
        { do: 'prune', sparsity: 0.3 },
        { do: 'quantize', scheme: 'int8-static', calibration: cnn('calib.npz') },
      ],
    });
    expect(report.steps.map(({ outcome }) => outcome)).toEqual(['done', 'done']);
    const feeds = { inputs: gate.inputs, labels: gate.labels };
    await pruneModel(
      cnn('model.onnx'),
      at('a.onnx'),
      { method: 'magnitude', sparsity: 0.3, ...feeds, ...proof },
      context,
    );
    const hand = await quantizeModel(
      at('a.onnx'),
      at('b.onnx'),
      { scheme: 'int8-static', calibration: cnn('calib.npz'), ...feeds, ...proof },
      context,
    );
    expect((await plain('out.onnx')).equals(bytes('b.onnx'))).toBe(true);
    // The accuracy of the whole: from the input to the output.
    expect(report.validation.accuracy).toEqual({
      before: 0.986,
      after: hand.validation.accuracy?.after,
      samples: 500,
    });
    expect(report.accuracyDrop).toBeCloseTo(0.986 - (hand.validation.accuracy?.after ?? 0), 9);
    expect(fs.readdirSync(at('')).sort()).toEqual(['a.onnx', 'b.onnx', 'out.onnx', 'plain-out.onnx']);
  });

  it('fewer channels, merged nodes, integers', async () => {
    const calibration = cnn('calib.npz');
    const report = await made({
      ...{ input: cnn('model.onnx'), output: 'out.onnx', gate },
      steps: [
        { do: 'prune', method: 'channels', sparsity: 0.3, multipleOf: 2, calibration },
        { do: 'optimize', opset: 18 },
        { do: 'quantize', scheme: 'int8-dynamic' },
      ],
    });
    expect(report.steps.map(({ outcome }) => outcome)).toEqual(['done', 'done', 'done']);
    expect(report.steps[0]?.figures).toMatchObject({ method: 'channels', channelsAfter: expect.any(Number) });
    expect(report.steps[1]?.figures).toEqual({
      nodesBefore: expect.any(Number),
      nodesAfter: expect.any(Number),
    });
    const channels = { method: 'channels', sparsity: 0.3, multipleOf: 2, calibration } as const;
    await pruneModel(cnn('model.onnx'), at('a.onnx'), { ...channels, ...quick }, context);
    await optimizeModel(at('a.onnx'), at('b.onnx'), { opset: 18, ...quick }, context);
    await quantizeModel(at('b.onnx'), at('c.onnx'), { scheme: 'int8-dynamic', ...quick }, context);
    expect((await plain('out.onnx')).equals(bytes('c.onnx'))).toBe(true);
  });

  it('steps that have no gate go into the next one without a file', async () => {
    const report = await made(
      {
        ...{ input: cnn('model.onnx'), output: 'out.onnx', gate },
        steps: [
          { do: 'convert', opset: 18, validate: 'none' },
          { do: 'prune', sparsity: 0.3, validate: 'none' },
          { do: 'meta', set: { license: 'mit' } },
        ],
      },
      { keepWork: true },
    );
    expect(report.steps.map(({ outcome }) => outcome)).toEqual(['composed', 'composed', 'done']);
    expect(fs.readdirSync(at('.out.onnx.pipeline')).sort()).toEqual([
      'step-1.json',
      'step-2.json',
      'step-3',
      'step-3.json',
    ]);
    // The gate of the last looks back to what has a file: the input.
    expect(report.steps[2]?.validation?.accuracy?.before).toBe(0.986);
    await convertModel(cnn('model.onnx'), at('a.onnx'), { opset: 18, ...quick }, context);
    await pruneModel(at('a.onnx'), at('b.onnx'), { method: 'magnitude', sparsity: 0.3, ...quick }, context);
    await metaEdit(
      at('b.onnx'),
      { set: new Map([['license', 'mit']]), output: at('c.onnx') },
      quick,
      context,
    );
    expect((await plain('out.onnx')).equals(bytes('c.onnx'))).toBe(true);
  });

  it.each([
    ['magnitude', 'int8-weights'],
    ['magnitude', 'int4-weights'],
    ['n:m', 'int8-dynamic'],
    ['n:m', 'nf4'],
    ['magnitude', 'palette-4'],
  ] as const)('zeros by %s without a gate become %s as they are pulled', async (method, scheme) => {
    const report = await made({
      ...{ input: cnn('model.onnx'), output: 'out.onnx', gate: { ...gate, tolerance: 1e9 } },
      steps: [
        { do: 'prune', method, validate: 'none' },
        { do: 'quantize', scheme, tolerance: 1e9 },
      ],
    });
    expect(report.steps.map(({ outcome }) => outcome)).toEqual(['composed', 'done']);
    expect(report.steps[1]?.validation?.accuracy?.before).toBe(0.986);
    await pruneModel(cnn('model.onnx'), at('a.onnx'), { method, ...quick }, context);
    await quantizeModel(at('a.onnx'), at('b.onnx'), { scheme, ...quick }, context);
    // Weights that were sparse in between lie in another order.
    expect((await diffModels(at('out.onnx'), at('b.onnx'), {}, context)).same).toBe(true);
    if (method === 'n:m') expect((await plain('out.onnx')).equals(bytes('b.onnx'))).toBe(true);
  });

  it('a step without a gate is written where the next one needs a file', async () => {
    const report = await made({
      ...{ input: cnn('model.onnx'), output: 'out.onnx', gate },
      steps: [
        { do: 'prune', sparsity: 0.3, validate: 'none' },
        { do: 'quantize', scheme: 'int8-static', calibration: cnn('calib.npz') },
      ],
    });
    expect(report.steps).toMatchObject([
      { outcome: 'done', validation: { level: 'none' } },
      { outcome: 'done', validation: { level: 'run' } },
    ]);
  });

  it('weights without a graph, between formats', async () => {
    const report = await made({
      ...{ input: cnn('checkpoints/step0200.pt'), output: 'out.safetensors', gate: { validate: 'weights' } },
      steps: [
        { do: 'convert', prefix: 'net.', exclude: ['optim'] },
        { do: 'prune', method: 'n:m', validate: 'none' },
        { do: 'convert', dtype: 'bf16' },
        { do: 'meta', set: { license: 'mit' } },
      ],
    });
    expect(report.steps.map(({ outcome }) => outcome)).toEqual(['done', 'composed', 'done', 'done']);
    await convertModel(
      cnn('checkpoints/step0200.pt'),
      at('a.mlck'),
      { prefix: 'net.', exclude: [/optim/u], ...quick },
      context,
    );
    await pruneModel(at('a.mlck'), at('b.mlck'), { method: 'n:m', ...quick }, context);
    await convertModel(
      at('b.mlck'),
      at('c.safetensors'),
      { dtype: 'bf16', metadata: new Map([['license', 'mit']]), ...quick },
      context,
    );
    expect((await plain('out.safetensors')).equals(bytes('c.safetensors'))).toBe(true);
  });

  it('names that change hands: what stands under a name now is not compared with what stood there', async () => {
    const swap = ['s/^fc1[.]weight$/x/', 's/^fc2[.]weight$/fc1.weight/', 's/^x$/fc2.weight/'];
    const report = await made({
      ...{ input: cnn('model.safetensors'), output: 'out.safetensors' },
      steps: [
        { do: 'convert', rename: swap },
        { do: 'prune', sparsity: 0.5 },
        { do: 'convert', dtype: 'f16' },
      ],
    });
    expect(report.findings).toEqual([]);
    expect(report.validation.passed).toBe(true);
  });

  it('sparse initializers, packed checkpoints and external data are as the last step wrote them', async () => {
    const sparsity = 0.9;
    for (const [name, options] of [
      ['out.onnx', {}],
      ['data.onnx', { externalData: true }],
      ['out.mlck', {}],
    ] as const) {
      await made({
        ...{ input: cnn('model.onnx'), output: name, gate: { validate: 'weights' } },
        steps: [{ do: 'prune', sparsity, ...options }],
      });
      fs.mkdirSync(at('hand'), { recursive: true });
      await pruneModel(
        cnn('model.onnx'),
        at(`hand/${name}`),
        { method: 'magnitude', sparsity, ...options, ...quick },
        context,
      );
      const extra = bytes(name).byteLength - bytes(`hand/${name}`).byteLength;
      expect(extra).toBeGreaterThan(100); // the recipe
      expect(extra).toBeLessThan(1000);
      const difference = await diffModels(at(name), at(`hand/${name}`), {}, context);
      expect(difference.tensors).toMatchObject({ added: [], removed: [], changed: [] });
    }
    expect(bytes('data.onnx.data').equals(bytes('hand/data.onnx.data'))).toBe(true);
  });
});

describe('a gate that says no', () => {
  const recipe = {
    ...{ input: cnn('model.onnx'), output: 'out.onnx', gate },
    steps: [
      { do: 'prune', sparsity: 0.3 },
      { do: 'quantize', scheme: 'int2-weights', maxError: 9, tolerance: 1e-6 },
      { do: 'meta', set: { a: 'b' } },
    ],
  };

  it('of a step ends the pipeline, names the step and leaves no output', async () => {
    const report = await made(recipe);
    expect(report.validation.passed).toBe(false);
    expect(report.failedStep).toBe(2);
    expect(report.steps.map(({ outcome }) => outcome)).toEqual(['done', 'failed', 'waiting']);
    expect(report.findings.map(({ code, message }) => `${code} ${message}`).join()).toMatch(
      /^STEP_FAILED step 2 \(quantize\) did not pass: differs by/,
    );
    expect(fs.readdirSync(at(''))).toEqual(['.out.onnx.pipeline']);
    expect(fs.readdirSync(at('.out.onnx.pipeline')).sort()).toEqual(['step-1', 'step-1.json']);
    // The next run goes on there, with what was changed in the recipe.
    const [first, , last] = recipe.steps;
    const again = await made({ ...recipe, steps: [first, { do: 'quantize', scheme: 'int8-weights' }, last] });
    expect(again.steps.map(({ outcome }) => outcome)).toEqual(['kept', 'done', 'done']);
    expect(fs.readdirSync(at(''))).toEqual(['out.onnx']);
  });

  it('of the first step leaves nothing at all', async () => {
    const report = await made({ ...recipe, steps: [{ do: 'prune', sparsity: 0.95 }] });
    expect(report).toMatchObject({ failedStep: 1 });
    expect(report.work).toBeUndefined();
    expect(fs.readdirSync(at(''))).toEqual([]);
  });

  it.each([
    [{ maxAccuracyDrop: 0.0001 }, 'ACCURACY_LOST'],
    [{ maxSize: 1000 }, 'TOO_LARGE'],
    [{ tolerance: 1e-6 }, 'OUTPUT_DIFFERS'],
  ])('of the whole compares with the input: %o', async (own, code) => {
    const wanted = { ...recipe, gate: { ...gate, ...own }, steps: [{ do: 'prune', sparsity: 0.4 }] };
    const report = await made(wanted);
    expect(report).toMatchObject({ failedStep: 0, validation: { passed: false } });
    expect(report.steps.map(({ outcome }) => outcome)).toEqual(['done']);
    expect(report.findings.map((finding) => finding.code)).toContain(code);
    expect(fs.existsSync(at('out.onnx'))).toBe(false);
    // Only the whole is looked at again.
    const again = await made({ ...wanted, gate });
    expect(again.steps.map(({ outcome }) => outcome)).toEqual(['kept']);
    expect(fs.readdirSync(at(''))).toEqual(['out.onnx']);
  });

  it('of a step that only looks: next to the input, or a content id', async () => {
    const steps = [{ do: 'prune', sparsity: 0.4 }];
    const looked = await made({ ...recipe, steps: [...steps, { do: 'validate', maxAccuracyDrop: 0.0001 }] });
    expect(looked).toMatchObject({ failedStep: 2, steps: [{}, { findings: [{ code: 'ACCURACY_LOST' }] }] });
    const summed = await made({ ...recipe, steps: [...steps, { do: 'checksum', content: 'ab' }] });
    expect(summed).toMatchObject({
      failedStep: 2,
      steps: [{ outcome: 'kept' }, { findings: [{ code: 'CONTENT_DIFFERS' }] }],
    });
    const content = summed.steps[1]?.figures['content'];
    const right = await made({ ...recipe, steps: [...steps, { do: 'checksum', content }] });
    expect(right.validation.passed).toBe(true);
  });

  it('of convert, which has no such option, holds the accuracy too', async () => {
    const steps = [
      { do: 'prune', sparsity: 0.4, validate: 'none' },
      { do: 'convert', opset: 18, maxAccuracyDrop: 0.0001 },
    ];
    expect(await made({ ...recipe, steps })).toMatchObject({ failedStep: 2 });
  });
});

describe('what cannot be', () => {
  const base = { input: cnn('model.onnx'), output: 'out.onnx', steps: [{ do: 'prune' }] };
  it.each<[object, RegExp]>([
    [{ ...base, input: undefined }, /names no input/],
    [{ ...base, output: undefined }, /names no output/],
    [{ ...base, output: 'out.xyz' }, /names no format/],
    [{ ...base, steps: [{ do: 'checksum' }] }, /no step changes the model/],
    [{ ...base, gate: { maxAccuracyDrop: 0.1 } }, /accuracy would not be known/],
    [{ ...base, gate: { ...gate, maxAccuracyDrop: 0.1 }, output: 'out.mlck' }, /accuracy would not be known/],
    [{ ...base, steps: [{ do: 'prune', maxAccuracyDrop: 0.1 }] }, /step 1 \(prune\): --max-accuracy-drop/],
    [
      { ...base, steps: [{ do: 'quantize', scheme: 'int8-static', calibration: 'none.npz' }] },
      /none\.npz: does not exist/,
    ],
    [
      {
        ...base,
        steps: [
          { do: 'prune', sparsity: 0 },
          { do: 'quantize', scheme: 'int8-weights' },
          { do: 'quantize', scheme: 'fp16' },
        ],
        gate: { validate: 'structure' },
      },
      /step 3 \(quantize\): the model is quantized already/,
    ],
  ])('%o is refused, and leaves no output', async (recipe, message) => {
    await expect(made(recipe)).rejects.toThrow(message);
    expect(fs.existsSync(at('out.onnx'))).toBe(false);
  });

  it('a folder is made for an output that ends with a slash, and only then', async () => {
    await expect(made({ ...base, output: 'none/out.onnx' })).rejects.toThrow(/does not exist/);
    await made({ ...base, input: cnn('model.safetensors'), output: 'made/', gate: { validate: 'weights' } });
    expect(fs.readdirSync(at(''))).toEqual(['made']);
    expect(fs.readdirSync(at('made'))).toEqual(['model.safetensors']);
  });

  it('an output that is there is told before any work', async () => {
    fs.writeFileSync(at('out.onnx'), 'old');
    await expect(made(base)).rejects.toThrow(/out\.onnx exists/);
    expect(fs.readdirSync(at(''))).toEqual(['out.onnx']);
    expect((await made(base, { force: true })).validation.passed).toBe(true);
  });
});

it('a dry run plans every step on the one before, and writes nothing', async () => {
  const report = await made(
    {
      ...{ input: cnn('model.onnx'), output: 'out.onnx', gate },
      steps: [
        { do: 'prune', sparsity: 0.5 },
        { do: 'quantize', scheme: 'int8-weights' },
        { do: 'validate' },
        { do: 'quantize', scheme: 'fp16', requantize: true },
      ],
    },
    { dryRun: true },
  );
  expect(report.dryRun).toBe(true);
  const [prune, quantize, look, later] = report.steps;
  expect(prune).toMatchObject({ outcome: 'planned', figures: { sparsity: 0.5 } });
  expect(quantize?.bytesOut).toBeLessThan((prune?.bytesOut ?? 0) / 3);
  expect(look?.bytesOut).toBe(quantize?.bytesOut);
  expect(later?.bytesOut).toBeNull();
  expect(fs.readdirSync(at(''))).toEqual([]);
});
