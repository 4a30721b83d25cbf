import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { memoryTensor } from '../../../src/core/tensor.js';
import { repeatedBlocks } from '../../../src/graph/blocks/find.js';
import { GraphEdit } from '../../../src/graph/edit.js';
import { bytesFor } from '../../../src/operations/observed-model.js';
import { withModel } from '../../../src/operations/open.js';
import { valueShapes } from '../../../src/operations/prune/channels/value-shapes.js';
import { parseLayers } from '../../../src/operations/prune/layers/layer-list.js';
import type { PruneReport } from '../../../src/operations/prune/report.js';
import { pruneSensitivity } from '../../../src/operations/prune/sensitivity.js';
import { testContext } from '../../support/context.js';
import { fixture } from '../../support/fixtures.js';
import { ownFolder } from '../../support/folders.js';
import { calibration, prunesInto, TEST, TRANSFORMER } from '../../support/pruned.js';
import { schemaErrors } from '../../support/schema.js';

const BERT = fixture('onnx/external_onefile/model.onnx');
const LM = fixture('safetensors/tied_lm_float16.safetensors');
const context = testContext(1);
const at = ownFolder('layers');
const prune = prunesInto(at, 'layers');

const gone = ({ prune: { tensors } }: PruneReport): string[] =>
  tensors.filter(({ channels }) => channels?.after === 0).map(({ name }) => name);

describe('blocks of a graph', () => {
  it('go by number', async () => {
    const report = await prune(TRANSFORMER, 'a.onnx', { layers: [0, 2], tolerance: 1e9 });
    expect(schemaErrors('prune', report)).toEqual([]);
    expect(report.validation.passed).toBe(true);
    expect(gone(report)).toEqual(['block 0', 'block 2']);
    expect(report.prune.channels).toEqual({ before: 3, after: 1 });
    expect(report.tensors.map(({ name }) => name).filter((name) => /layers\.[02]/.test(name))).toEqual([]);
  });

  it('that add nothing go without a trace', async () => {
    await withModel(TRANSFORMER, context, async (opened) => {
      const edit = await GraphEdit.open(opened.model);
      const shapes = await valueShapes(opened, undefined, context);
      const block = repeatedBlocks(edit, { shape: (value) => shapes.get(value) })[1];
      // Whatever the block multiplies comes to nothing: the residual stream passes.
      for (const name of block?.weights ?? []) {
        const tensor = edit.tensor(name);
        // Numbers by themselves are divided by, too.
        if (tensor && tensor.info.shape.length > 0)
          edit.replaceTensor(name, memoryTensor(tensor.info, new Uint8Array(tensor.byteLength)));
      }
      writeFileSync(at('idle.onnx'), await bytesFor(edit.finish(), false));
    });
    const report = await prune(at('idle.onnx'), 'b.onnx', { layers: [1], tolerance: 1e-6 });
    expect(report.validation.passed).toBe(true);
    expect(report.prune.storedBytes).toBeLessThan(report.prune.denseBytes);
    await expect(prune(at('idle.onnx'), 'c.onnx', { layers: [0], tolerance: 1e-6 })).resolves.toMatchObject({
      validation: { passed: false },
    });
  });

  it('that change least are found from samples', async () => {
    const report = await prune(TRANSFORMER, 'a.onnx', {
      calibration,
      sparsity: 0.3,
      ...TEST,
      tolerance: 1e9,
    });
    expect(gone(report)).toEqual(['block 2']);
    const influence = report.prune.tensors.map((one) => one.influence ?? 0);
    expect(influence).toEqual([...influence].sort((a, b) => b - a));
    expect(report.accuracyDrop).toBeLessThan(0.05);
  });

  it('stay where accuracy would sink too far', async () => {
    const options = { layers: [1, 2], maxAccuracyDrop: 0.05, tolerance: 1e9, ...TEST };
    const report = await prune(TRANSFORMER, 'a.onnx', options);
    expect(gone(report)).toEqual(['block 2']);
    expect(report.accuracyDrop).toBeLessThanOrEqual(0.05);
  });

  it('of a BERT, whose norms come behind', async () => {
    const report = await prune(BERT, 'bert.onnx', { layers: [0] });
    expect(report.validation.passed).toBe(true);
    expect(gone(report)).toEqual(['block 0']);
  });

  it('are not found where nothing repeats', async () => {
    await expect(
      prune(fixture('trained/digits_cnn/model.onnx'), 'a.onnx', { layers: [0] }),
    ).rejects.toMatchObject({
      code: 'E_UNSUPPORTED',
    });
  });
});

describe('blocks of weights without a graph', () => {
  it('go by name, and the rest moves up', async () => {
    const report = await prune(LM, 'lm.safetensors', { layers: [0] });
    expect(schemaErrors('prune', report)).toEqual([]);
    expect(report.validation.passed).toBe(true);
    const [finding] = report.findings.filter(({ code }) => code === 'CONFIG_FOLLOWS');
    expect(finding?.message).toContain('num_hidden_layers');
    expect(finding?.severity).toBe('info');
    await withModel(LM, context, (before) =>
      withModel(at('lm.safetensors'), context, async (after) => {
        const names = after.model.tensors.map(({ info }) => info.name);
        const numbered = names.filter((name) => /blocks\.\d/.test(name));
        expect(numbered.length).toBeGreaterThan(0);
        for (const name of numbered) expect(name).toMatch(/blocks\.0\./);
        expect(names.length).toBe(before.model.tensors.length - numbered.length);
      }),
    );
  });

  it('have to be named', async () => {
    await expect(prune(LM, 'a.safetensors')).rejects.toMatchObject({ code: 'E_USAGE' });
    await expect(prune(LM, 'a.safetensors', { layers: [7] })).rejects.toMatchObject({ code: 'E_USAGE' });
    await expect(prune(LM, 'a.safetensors', { layers: [0, 1] })).rejects.toMatchObject({ code: 'E_USAGE' });
  });
});

describe('lists of blocks', () => {
  it('are numbers and ranges', () => {
    expect(parseLayers('20,21')).toEqual([20, 21]);
    expect(parseLayers('3, 5-7,6')).toEqual([3, 5, 6, 7]);
  });
  it.each(['', 'a', '3-1', '1,,2', '-1'])('%j is none', (text) => {
    expect(() => parseLayers(text)).toThrow(/no list of blocks/);
  });
});

describe('a config.json beside the input', () => {
  it.each([
    [LM, 'model.safetensors', 'safetensors'],
    [TRANSFORMER, 'model.onnx', 'onnx'],
  ])('is not right for the output any more, which is a warning: %s', async (source, name, to) => {
    const own = at(`hub-${to}`);
    mkdirSync(own);
    copyFileSync(source, path.join(own, name));
    writeFileSync(path.join(own, 'config.json'), '{"num_hidden_layers": 3}');
    const report = await prune(path.join(own, name), `followed.${to}`, { layers: [1], tolerance: 1e9 });
    const found = report.findings.filter(({ code }) => code === 'CONFIG_FOLLOWS');
    expect(found.map(({ severity }) => severity)).toEqual(['warning']);
    expect(found[0]?.message).toContain(`num_layers: ${report.prune.channels?.after}`);
  });
});

describe('what each block alone costs', () => {
  const options = { method: 'layers', validate: 'run', device: 'cpu' } as const;
  it('shows when the graph runs without it: the worst first, as it is when that one is taken out', async () => {
    const report = await pruneSensitivity(TRANSFORMER, { ...options, ...TEST }, context);
    expect(schemaErrors('sensitivity', report)).toEqual([]);
    expect(report.layers.map(({ name }) => name).sort()).toEqual(['block 0', 'block 1', 'block 2']);
    const drops = report.layers.map(({ accuracyDrop }) => accuracyDrop ?? 0);
    expect(drops).toEqual([...drops].sort((x, y) => y - x));
    const last = report.layers.at(-1);
    const alone = await prune(TRANSFORMER, 'least.onnx', {
      ...{ layers: [Number(last?.name.at(-1))], tolerance: 1e9, ...TEST },
    });
    expect(last?.accuracy).toBe(alone.validation.accuracy?.after);
    expect(last?.bytesIn).toBeGreaterThan(last?.bytesOut ?? 0);
  });
  it('is not known without a graph', async () => {
    await expect(pruneSensitivity(LM, options, context)).rejects.toMatchObject({
      code: 'E_UNSUPPORTED',
      message: expect.stringMatching(/graph is run/),
    });
  });
});
