import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readTensor } from '../../../src/core/tensor.js';
import { protoOf } from '../../../src/formats/onnx/summary.js';
import { statTensors } from '../../../src/kernels/statistics.js';
import { convertModel } from '../../../src/operations/convert.js';
import { withModel, withModels } from '../../../src/operations/open.js';
import type { PruneModelOptions } from '../../../src/operations/prune/prune.js';
import type { PruneReport } from '../../../src/operations/prune/report.js';
import { testContext } from '../../support/context.js';
import { fixture } from '../../support/fixtures.js';
import { ownFolder } from '../../support/folders.js';
import { CNN, prunesInto, TEST } from '../../support/pruned.js';
import { schemaErrors } from '../../support/schema.js';

const WEIGHTS = fixture('trained/digits_cnn/model.safetensors');
const context = testContext(1);
const at = ownFolder('prune');
const prune = prunesInto(at, 'magnitude');

const names = ({ prune: { tensors } }: PruneReport): string[] => tensors.map(({ name }) => name).sort();

describe('what is chosen', () => {
  it('in a graph: what is multiplied, not biases', async () => {
    const report = await prune(CNN, 'a.onnx', { sparsity: 0.3, ...TEST });
    expect(schemaErrors('prune', report)).toEqual([]);
    expect(names(report)).toEqual([
      ...['conv3.weight', 'fc1.weight', 'fc2.weight', 'onnx::Conv_35', 'onnx::Conv_38'],
    ]);
    expect(report.validation).toMatchObject({ passed: true });
    expect(report.tensors.filter(({ action }) => action === 'prune')).toHaveLength(5);
    const { before = 0, after = 0 } = report.validation.accuracy ?? {};
    expect(before - after).toBeLessThanOrEqual(0.02);
    expect(report.accuracyDrop).toBeCloseTo(before - after);
  });

  it('a table of embeddings is left, unless it is asked for', async () => {
    const bert = fixture('onnx/external_onefile/model.onnx');
    const weights = await convertModel(
      bert,
      at('bert.safetensors'),
      { validate: 'none', device: 'cpu', force: true },
      context,
    );
    for (const [input, format] of [
      [bert, 'onnx'],
      [weights.output, 'safetensors'],
    ] as const) {
      const plain = await prune(input, `e.${format}`, { sparsity: 0.1 });
      expect(names(plain), format).toHaveLength(14);
      expect(names(plain).join(' ')).not.toMatch(/_embeddings/);
      const asked = await prune(input, `e.${format}`, { sparsity: 0.1, include: [/word_embeddings/] });
      expect(names(asked)).toEqual(['m.bert.embeddings.word_embeddings.weight']);
    }
  });

  it('tied names get the same zeros, and stay tied', async () => {
    const report = await prune(fixture('pytorch/tied_lm_state_dict.pt'), 'tied.pt');
    const pruned = report.tensors.filter(({ action }) => action === 'prune');
    await withModel(at('tied.pt'), context, async ({ model }) => {
      expect(model.aliases.size).toBeGreaterThan(0);
      for (const [alias, canonical] of model.aliases)
        expect(pruned.map(({ name }) => name)).toEqual(expect.arrayContaining([alias, canonical]));
    });
  });

  it('neither moments of the optimizer nor what --keep and --exclude name', async () => {
    const checkpoint = fixture('trained/digits_cnn/checkpoints/step0200.pt');
    const report = await prune(checkpoint, 'a.mlck', { keep: [/fc1/], exclude: [/conv2/] });
    expect(names(report).length).toBe(3);
    for (const name of names(report)) expect(name).toMatch(/^model\.(conv1|conv3|fc2)\.weight$/);
  });

  it('nothing, which is told', async () => {
    const report = await prune(WEIGHTS, 'a.safetensors', { exclude: [/./] });
    expect(report.findings.map(({ code }) => code)).toContain('NOTHING_PRUNED');
    expect(report.prune).toMatchObject({ sparsity: 0, zeros: 0, elements: 0 });
  });
});

describe('what the report says is in the file', () => {
  const options: Partial<PruneModelOptions>[] = [
    { sparsity: 0.5 },
    { sparsity: 0.9, scope: 'tensor' },
    { method: 'threshold', threshold: 0.02 },
    { method: 'n:m', pattern: { keep: 2, of: 4 } },
    { method: 'n:m', pattern: { keep: 1, of: 3 } },
  ];
  it.each(
    options.flatMap((one) =>
      ['safetensors', 'mlck', 'npz', 'pt', 'onnx'].map((format) => ({
        ...{ one, format, title: `${format} ${JSON.stringify(one)}` },
      })),
    ),
  )('$title', async ({ one, format }) => {
    const input = format === 'onnx' ? CNN : WEIGHTS;
    const report = await prune(input, `zeros.${format}`, { ...one, tolerance: 1e6 });
    expect(report.validation).toMatchObject({ passed: true });
    expect(schemaErrors('prune', report)).toEqual([]);
    await withModel(input, context, (before) =>
      withModel(at(`zeros.${format}`), context, async ({ model }) => {
        const figures = await statTensors(model.tensors, context);
        for (const entry of report.prune.tensors) {
          const index = model.tensors.findIndex(({ info }) => info.name === entry.name);
          expect(figures[index]?.zeros, entry.name).toBe(entry.zeros);
        }
        const pruned = new Set(report.prune.tensors.map(({ name }) => name));
        for (const tensor of before.model.tensors) {
          if (pruned.has(tensor.info.name)) continue;
          const after = model.tensors.find(({ info }) => info.name === tensor.info.name);
          expect(await readTensor(after!)).toEqual(await readTensor(tensor));
        }
      }),
    );
    if (one.method === undefined) {
      const { asked, sparsity, elements } = report.prune;
      expect(Math.abs(sparsity - (asked ?? 0))).toBeLessThanOrEqual(3 / elements);
    }
  });
});

describe('size', () => {
  it('the native format is at least 1.9 times smaller with half of the weights, and opens again', async () => {
    await convertModel(WEIGHTS, at('dense.mlck'), { validate: 'none', device: 'cpu', force: true }, context);
    const report = await prune(WEIGHTS, 'half.mlck', { sparsity: 0.5 });
    expect(report.prune.reason).toBeUndefined();
    expect(report.prune.denseBytes / (report.prune.storedBytes ?? 0)).toBeGreaterThan(1.9);
    expect(report.ratio).toBeGreaterThan(1.9);
    for (const { storedBytes, denseBytes, reason } of report.prune.tensors)
      expect(reason === undefined).toBe((storedBytes ?? 0) < denseBytes);
  });

  it.each([
    [CNN, 0.9, 3],
    [fixture('onnx/mlp.fp16_unsorted.onnx'), 0.9, 2],
    [fixture('onnx/gru.ts17.onnx'), 0.95, 3],
    [fixture('onnx/control_flow.ts17.onnx'), 0.9, 2],
  ] as const)('ONNX gets sparse initializers where they are smaller: %s', async (input, sparsity, count) => {
    const report = await prune(input, 'sparse.onnx', { sparsity, tolerance: 1e6 });
    expect(report.validation).toMatchObject({ passed: true, level: 'run' });
    const sparse = report.prune.tensors.filter(({ reason }) => reason === undefined);
    expect(sparse).toHaveLength(count);
    expect(report.bytesOut).toBeLessThan(report.bytesIn);
    const dense = await prune(input, 'dense.onnx', { sparsity, tolerance: 1e6, externalData: true });
    expect(dense.prune.reason).toMatch(/beside/);
    await withModels([at('sparse.onnx'), at('dense.onnx')], context, async ([a, b]) => {
      const graph = protoOf(a!.model.graph!).graph!;
      expect(graph.sparseInitializer.map(({ values }) => values?.name)).toHaveLength(count);
      for (const tensor of b!.model.tensors) {
        const own = a!.model.tensors.find(({ info }) => info.name === tensor.info.name)!;
        expect(await readTensor(own), tensor.info.name).toEqual(await readTensor(tensor));
      }
    });
    // What is sparse is a model as any other.
    await convertModel(
      at('sparse.onnx'),
      at('again.onnx'),
      { validate: 'run', device: 'cpu', force: true },
      context,
    );
  });

  it('says that initializers of sub-graphs stay dense', async () => {
    const report = await prune(fixture('onnx/if_initializers.onnx'), 'if.onnx', {
      ...{ sparsity: 0.9, tolerance: 1e6 },
    });
    expect(report.validation.passed).toBe(true);
    expect(report.prune.tensors.map(({ name, reason }) => [name, reason === undefined])).toEqual(
      expect.arrayContaining([
        ['c', true],
        ['branch/w', false],
      ]),
    );
    expect(report.prune.tensors.find(({ name }) => name === 'branch/w')?.reason).toMatch(/main graph/);
  });

  it('f64 and all other floats are pruned without a false alarm', async () => {
    const report = await prune(fixture('pytorch/dtypes.pt'), 'dtypes.safetensors');
    expect(report.prune.tensors).toHaveLength(4);
    expect(report.findings.filter(({ severity }) => severity !== 'info')).toEqual([]);
  });

  it('dense formats say why they gain nothing', async () => {
    for (const [output, input, word] of [
      ['a.safetensors', WEIGHTS, /safetensors/],
      ['a.pt', WEIGHTS, /PyTorch/i],
      ['a.npz', WEIGHTS, /--compress/],
      ['a.onnx', CNN, /sparse_initializer/],
    ] as const) {
      const { prune: found } = await prune(input, output, { sparsity: 0.2 });
      expect(found.reason).toMatch(word);
      expect(found.storedBytes).toBe(found.denseBytes);
    }
    const dense = await prune(WEIGHTS, 'a.mlck', { compress: false });
    expect(dense.prune.reason).toMatch(/compress/);
    const small = await prune(WEIGHTS, 'b.npz', { compress: true, scope: 'tensor' });
    expect(small.bytesOut).toBeLessThan(dense.bytesOut);
    expect(small.prune.storedBytes).toBeNull();
  });
});

describe('the gate', () => {
  it('spares the most sensitive weights where more accuracy would be lost than was allowed', async () => {
    const free = await prune(CNN, 'free.onnx', { sparsity: 0.5, scope: 'tensor', ...TEST });
    expect(free.accuracyDrop).toBeGreaterThan(0.05);
    const report = await prune(CNN, 'kept.onnx', {
      ...{ sparsity: 0.5, scope: 'tensor', maxAccuracyDrop: 0.01, ...TEST },
    });
    expect(report.validation.passed).toBe(true);
    expect(report.accuracyDrop).toBeLessThanOrEqual(0.01);
    expect(names(report).length).toBeGreaterThan(1);
    expect(names(report).length).toBeLessThan(5);
    expect(report.findings.find(({ code }) => code === 'KEPT_WHOLE')?.message).toMatch(/onnx::Conv_35/);
  });

  it('fails where outputs move further than zeros explain, and leaves nothing', async () => {
    const report = await prune(CNN, 'lost.onnx', { sparsity: 0.95, ...TEST });
    expect(report.validation.passed).toBe(false);
    expect(existsSync(at('lost.onnx'))).toBe(false);
  });

  it('says which options mean nothing here', async () => {
    const report = await prune(WEIGHTS, 'a.safetensors', {
      ...{ method: 'n:m', sparsity: 0.3, compress: true, dryRun: true },
    });
    const ignored = report.findings.filter(({ code }) => code === 'OPTION_IGNORED');
    expect(ignored.map(({ subject }) => subject)).toEqual(['sparsity', '--compress']);
  });

  it('a plan writes nothing and knows the zeros', async () => {
    const report = await prune(WEIGHTS, 'plan.mlck', { dryRun: true, sparsity: 0.5 });
    expect(existsSync(at('plan.mlck'))).toBe(false);
    expect(report.prune.sparsity).toBeCloseTo(0.5, 2);
    expect(report.prune.storedBytes).toBeNull();
  });

  it.each([
    { sparsity: 1.5 },
    { method: 'threshold' },
    { method: 'n:m', pattern: { keep: 4, of: 4 } },
    { maxAccuracyDrop: 0.01 },
  ] as const)('refuses %j', async (options) => {
    await expect(prune(WEIGHTS, 'no.safetensors', options)).rejects.toMatchObject({ code: 'E_USAGE' });
  });
});

describe('n:m', () => {
  it('goes along the axis that is summed over, and says which', async () => {
    const mlp = fixture('trained/digits_mlp/model.onnx');
    const report = await prune(mlp, 'nm.onnx', { method: 'n:m' });
    expect(report.prune.tensors.map(({ axis }) => axis)).toEqual(
      report.prune.tensors.map(() => expect.stringMatching(/^axis [01] \((Gemm|MatMul)\)$/)),
    );
    await withModel(at('nm.onnx'), context, async ({ model }) => {
      for (const { name, axis } of report.prune.tensors) {
        const tensor = model.tensors.find(({ info }) => info.name === name)!;
        const [rows = 0, columns = 0] = tensor.info.shape;
        const values = new Float32Array((await readTensor(tensor)).buffer);
        const alongRows = axis?.startsWith('axis 0');
        const [length, others] = alongRows ? [rows, columns] : [columns, rows];
        for (let other = 0; other < others; other++)
          for (let from = 0; from + 4 <= length; from += 4) {
            const group = [0, 1, 2, 3].map((i) =>
              alongRows ? values[(from + i) * columns + other] : values[other * columns + from + i],
            );
            expect(group.filter((value) => value === 0).length).toBeGreaterThanOrEqual(2);
          }
      }
    });
    const cnn = await prune(CNN, 'nm.onnx', { method: 'n:m', tolerance: 1e6 });
    expect(cnn.prune.tensors.find(({ name }) => name === 'conv3.weight')?.axis).toBe('axes 1 to 3 (Conv)');
  });
});
