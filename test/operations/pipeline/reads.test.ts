import * as fs from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { encodeModel } from '../../../src/graph/build.js';
import { convertModel } from '../../../src/operations/convert.js';
import { hashModel } from '../../../src/operations/hashes.js';
import { withModel } from '../../../src/operations/open.js';
import { pipeline } from '../../../src/operations/pipeline/pipeline.js';
import { parseRecipe } from '../../../src/operations/pipeline/recipe.js';
import type { PipelineReport } from '../../../src/operations/pipeline/report.js';
import { pruneModel } from '../../../src/operations/prune/prune.js';
import { quantizeModel } from '../../../src/operations/quantize/quantize.js';
import { testContext } from '../../support/context.js';
import { countReads, readsOf } from '../../support/count-reads.js';
import { ownFolder } from '../../support/folders.js';

const at = ownFolder('pipeline-reads');
const quick = { validate: 'structure', device: 'cpu', sync: false, force: true } as const;

/** Weights of 8, 12 and 14 MiB: more than is held of a file at once, but each by itself. */
const SHAPES = { a: [8192, 256], b: [256, 12_288], c: [12_288, 300] } as const;
beforeAll(async () => {
  const values = (n: number): Uint8Array => {
    const floats = new Float32Array(n);
    for (let i = 0; i < n; i++) floats[i] = (Math.imul(i, 0x9e3779b1) >> 8) / (1 << 27);
    return new Uint8Array(floats.buffer);
  };
  const graph = await encodeModel({
    opset: 17,
    nodes: [
      { op: 'MatMul', inputs: ['x', 'a'], outputs: ['h'] },
      { op: 'MatMul', inputs: ['h', 'b'], outputs: ['i'] },
      { op: 'MatMul', inputs: ['i', 'c'], outputs: ['y'] },
    ],
    inputs: [{ name: 'x', dtype: 'f32', shape: ['n', 8192] }],
    outputs: [{ name: 'y', dtype: 'f32', shape: ['n', 300] }],
    initializers: Object.entries(SHAPES).map(([name, shape]) => ({
      ...{ name, dtype: 'f32' as const, shape: [...shape] },
      raw: values(shape[0] * shape[1]),
    })),
  });
  fs.writeFileSync(at('model.onnx'), graph);
  for (const name of ['model.safetensors', 'model.npz'])
    await convertModel(at('model.onnx'), at(name), quick, testContext(1));
});

/** What a recipe does, and how often it reads the weights of its input. */
async function ran(
  input: string,
  output: string,
  steps: readonly object[],
  gate: object = { validate: 'structure' },
): Promise<{ report: PipelineReport; reads: readonly number[] }> {
  const recipe = JSON.stringify({ input: at(input), output: at(output), gate, steps });
  const { pages, stop } = countReads(at(input));
  const report = await pipeline(
    parseRecipe(recipe, { file: at('recipe.json') }),
    { force: true, sync: false },
    testContext(1),
  );
  stop();
  expect(report.validation.passed).toBe(true);
  return { report, reads: [...(await readsOf(at(input), pages)).values()] };
}

const parentOf = (name: string): Promise<unknown> =>
  withModel(at(name), {}, async ({ model }) => model.metadata.get('provenance.parent'));
const contentOf = (name: string): Promise<string> =>
  withModel(at(name), {}, async ({ model }) => (await hashModel(model, testContext(1))).content);

/** Zeros that a verb reports. */
async function zerosBy(input: string, options: object): Promise<number> {
  const own = { ...quick, method: 'threshold', dryRun: true, ...options } as const;
  return (await pruneModel(at(input), at('dry.mlck'), own, testContext(1))).prune.zeros;
}

describe('the input is read once', () => {
  it.each([
    ['model.onnx', 'out.onnx', 'int8-weights'],
    ['model.safetensors', 'out.safetensors', 'int8-weights'],
    ['model.safetensors', 'out.mlck', 'int4-weights'],
    ['model.npz', 'out.mlck', 'nf4'],
  ])('by pruning, quantizing, counting and its content id: %s, %s, %s', async (input, output, scheme) => {
    const pruning = { method: 'threshold', threshold: 0.02 } as const;
    const { report, reads } = await ran(input, output, [
      { do: 'prune', ...pruning, validate: 'none' },
      { do: 'quantize', scheme },
    ]);
    expect(reads).toEqual([1, 1, 1]);
    // As the verbs would: what rides along is told no other than by itself.
    expect(report.steps.map(({ outcome }) => outcome)).toEqual(['composed', 'done']);
    expect(report.steps[0]?.figures).toMatchObject({ zeros: await zerosBy(input, pruning) });
    expect(await parentOf(output)).toBe(await contentOf(input));
  });

  it('by three steps that are composed, also with zeros by pattern', async () => {
    const { report, reads } = await ran('model.safetensors', 'out.safetensors', [
      { do: 'meta', set: { license: 'mit' }, validate: 'none' },
      { do: 'prune', method: 'n:m', validate: 'none' },
      { do: 'convert', dtype: 'f16' },
    ]);
    expect(reads).toEqual([1, 1, 1]);
    expect(report.steps.map(({ outcome }) => outcome)).toEqual(['composed', 'composed', 'done']);
    expect(report.steps[1]?.figures).toMatchObject({
      zeros: await zerosBy('model.safetensors', { method: 'n:m' }),
    });
    expect(await parentOf('out.safetensors')).toBe(await contentOf('model.safetensors'));
  });

  it('by a step with a file of its own, and once more by its gate and by that of the whole', async () => {
    for (const [validate, gates] of [
      ['structure', 0],
      ['weights', 2],
    ] as const) {
      const { report, reads } = await ran(
        'model.safetensors',
        'out.safetensors',
        [
          { do: 'prune', method: 'threshold', threshold: 0.02 },
          { do: 'meta', set: { license: 'mit' }, validate: 'structure' },
        ],
        { validate },
      );
      expect(reads, validate).toEqual([1 + gates, 1 + gates, 1 + gates]);
      expect(report.steps.map(({ outcome }) => outcome)).toEqual(['done', 'done']);
    }
  });

  it.each([{ method: 'threshold', threshold: 0.02 }, { method: 'n:m' }])(
    'by a plan, which counts for itself: %j',
    async (pruning) => {
      const steps = [
        { do: 'prune', ...pruning, validate: 'none' },
        { do: 'quantize', scheme: 'int8-weights' },
      ];
      const recipe = JSON.stringify({ input: at('model.safetensors'), output: at('plan.mlck'), steps });
      const read = parseRecipe(recipe, { file: at('recipe.json') });
      const { steps: planned } = await pipeline(read, { dryRun: true }, testContext(1));
      expect(planned.map(({ outcome }) => outcome)).toEqual(['planned', 'planned']);
      expect(planned[0]?.figures).toMatchObject({ zeros: await zerosBy('model.safetensors', pruning) });
    },
  );

  it('twice where a share is asked for, which has to be found first', async () => {
    const { reads } = await ran('model.safetensors', 'out.safetensors', [
      { do: 'prune', sparsity: 0.5, validate: 'none' },
      { do: 'quantize', scheme: 'int8-weights' },
    ]);
    // And some of every block for a guess.
    expect(Math.max(...reads)).toBeLessThanOrEqual(2.5);
  });

  it('by the verbs too', async () => {
    for (const [input, work] of [
      [
        'model.safetensors',
        () =>
          pruneModel(
            at('model.safetensors'),
            at('verb.safetensors'),
            { ...quick, method: 'threshold', threshold: 0.02 },
            testContext(1),
          ),
      ],
      [
        'model.npz',
        () =>
          quantizeModel(
            at('model.npz'),
            at('verb.safetensors'),
            { ...quick, scheme: 'int4-weights' },
            testContext(1),
          ),
      ],
    ] as const) {
      const { pages, stop } = countReads(at(input));
      await work();
      stop();
      expect([...(await readsOf(at(input), pages)).values()], input).toEqual([1, 1, 1]);
    }
  });

  it('and once before by those that have to know what halves hold', async () => {
    for (const input of ['model.safetensors', 'model.npz']) {
      const { pages, stop } = countReads(at(input));
      await quantizeModel(at(input), at('half.safetensors'), { ...quick, scheme: 'fp16' }, testContext(1));
      stop();
      expect([...(await readsOf(at(input), pages)).values()], input).toEqual([2, 2, 2]);
    }
  });
});
