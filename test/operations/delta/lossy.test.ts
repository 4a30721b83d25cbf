import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { addToRun } from '../../../src/operations/delta/add.js';
import type { DeltaOptions } from '../../../src/operations/delta/create.js';
import { parseLossy } from '../../../src/operations/delta/lossy-words.js';
import { verifyDelta } from '../../../src/operations/delta/verify.js';
import { diffModels } from '../../../src/operations/diff.js';
import { inspectModel } from '../../../src/operations/inspect.js';
import { withModel } from '../../../src/operations/open.js';
import {
  apply,
  bytesOfTensor,
  checkpoint,
  contentOf,
  context,
  create,
  modelOf,
  newFolder,
  noise,
  PROVED,
  save,
  tensor,
} from '../../support/deltas.js';

const [base, next] = [checkpoint('step0180.pt'), checkpoint('step0200.pt')];
const floats = (bytes: Uint8Array): Float32Array => new Float32Array(bytes.slice().buffer);
const f32 = (values: readonly number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

async function lossyDelta(options: Partial<DeltaOptions>) {
  const folder = newFolder();
  const file = path.join(folder, 'lossy.mlck');
  const report = await create(base, next, file, options);
  return { folder, file, report, bases: [base] };
}

describe('the words', () => {
  it.each([
    ['bf16-delta', 'bf16-delta'],
    ['int8', 'int8-delta'],
    ['topk=1%', { topk: 0.01 }],
    ['topk=0.5', { topk: 0.5 }],
    ['topk=100%', { topk: 1 }],
  ])('%s', (text, meant) => expect(parseLossy(text)).toEqual(meant));
  it.each([
    '',
    'int4',
    'topk',
    'topk=',
    'topk=0',
    'topk=101%',
    'topk=2',
    'topk=-1%',
    'topk=1e-3',
    'constructor',
  ])('%j is refused', (text) =>
    expect(() => parseLossy(text)).toThrow(expect.objectContaining({ code: 'E_USAGE' })),
  );
});

describe('weights and optimizer state', () => {
  it.each(['bf16-delta', 'int8-delta', { topk: 0.1 }] as const)(
    '%j is for one or the other',
    async (lossy) => {
      for (const options of [{ lossy }, { lossyOptimizer: lossy }, { lossy, lossyOptimizer: lossy }]) {
        const { report, file, bases } = await lossyDelta(options);
        const touched = new Set(
          report.tensors
            .filter(({ error }) => error && error.maxAbs > 0)
            .map(({ name }) => name.split('.')[0]),
        );
        const expected = [
          ...('lossy' in options ? ['model'] : []),
          ...('lossyOptimizer' in options ? ['optimizer'] : []),
        ];
        expect([...touched].sort(), JSON.stringify(options)).toEqual(expected);
        expect(report.validation).toMatchObject({ passed: true, weights: { checked: 58 } });
        expect(report.validation.weights?.lossy).toBeGreaterThan(10);
        expect(await contentOf(file, { bases })).toBe(report.target.content);
        expect(report.target.content).not.toBe(await contentOf(next));
        expect(await verifyDelta(file, { ...context, ...{ bases } })).toMatchObject({ passed: true });
      }
    },
  );

  it('are much smaller, the errors are told and are what they are', async () => {
    const { report, folder, file } = await lossyDelta({ lossy: 'int8-delta', lossyOptimizer: 'bf16-delta' });
    const exact = await create(base, next, path.join(folder, 'exact.mlck'));
    expect(report.bytesOut).toBeLessThan(exact.bytesOut * 0.65);
    expect(report.lossy).toBe('weights int8-delta, optimizer bf16-delta');
    const out = path.join(folder, 'out.pt');
    await apply(base, [file], out);
    const diff = await diffModels(out, next, { run: false }, context);
    const told = new Map(report.tensors.flatMap(({ name, error }) => (error ? [[name, error]] : [])));
    expect(diff.tensors.changed.length).toBeGreaterThan(20);
    for (const { name, maxAbs, rmse } of diff.tensors.changed) {
      expect(told.get(name)?.maxAbs, name).toBeCloseTo(maxAbs ?? -1, 12);
      expect(told.get(name)?.rmse, name).toBeCloseTo(rmse ?? -1, 12);
    }
    const inspect = await inspectModel(file, {}, { ...context, ...{ bases: [base] } });
    expect(inspect.findings).toMatchObject([{ code: 'LOSSY_DELTA', severity: 'info' }]);
  });

  it('stay exact where there is nothing to round', async () => {
    const folder = newFolder();
    const model = (byte: number) =>
      modelOf([
        tensor('ints', 'i64', [4], new Uint8Array(32).fill(byte)),
        tensor('doubles', 'f64', [4], new Uint8Array(32).fill(byte)),
        tensor('none', 'f32', [0]),
        ...(byte === 2 ? [tensor('new', 'f32', [8])] : []),
      ]);
    const files = [1, 2].map((byte) => path.join(folder, `${byte}.safetensors`));
    for (const [i, file] of files.entries()) await save(model(i + 1), file);
    const report = await create(files[0]!, files[1]!, path.join(folder, 'd.mlck'), { lossy: 'int8-delta' });
    expect(report.findings.map(({ code, subject }) => [code, subject])).toEqual(
      ['ints', 'doubles', 'new'].map((name) => ['KEPT_EXACT', name]),
    );
    expect(await contentOf(path.join(folder, 'd.mlck'))).toBe(await contentOf(files[1]!));
  });

  it('the values are rounded to the same bytes whatever the number of threads', async () => {
    const contents = new Set<string | null>();
    const folder = newFolder();
    const count = 1 << 20;
    const at = (name: string): string => path.join(folder, name);
    for (const [name, seed] of [
      ['a', 1],
      ['b', 2],
    ] as const)
      await save(
        modelOf(['x', 'y', 'z'].map((each) => tensor(each, 'f32', [count], noise(count * 4, seed)))),
        at(`${name}.safetensors`),
      );
    for (const threads of [1, 2]) {
      const work = { ...context, threads };
      const options = { lossy: 'int8-delta', force: true } as const;
      const report = await create(at('a.safetensors'), at('b.safetensors'), at('d.mlck'), options, work);
      contents.add(report.target.content);
      contents.add(await contentOf(at('d.mlck')));
    }
    expect(contents.size).toBe(1);
  });
});

describe('topk', () => {
  it('keeps exactly so many changes, the largest, as they are', async () => {
    const { file, bases } = await lossyDelta({ lossy: { topk: 0.1 } });
    await withModel(next, {}, async ({ model }) => {
      for (const { info, role } of model.tensors) {
        if (info.dtype !== 'f32' || role === 'optimizer') continue;
        const [before, after, kept] = (
          await Promise.all([
            bytesOfTensor(base, info.name),
            bytesOfTensor(next, info.name),
            bytesOfTensor(file, info.name, { bases }),
          ])
        ).map(floats) as [Float32Array, Float32Array, Float32Array];
        const changes = [...kept.keys()].filter((i) => kept[i] !== before[i]);
        const possible = [...after.keys()].filter((i) => after[i] !== before[i]).length;
        expect(changes.length, info.name).toBe(Math.min(possible, Math.ceil(after.length * 0.1)));
        const size = (i: number): number => Math.abs(Math.fround((after[i] ?? 0) - (before[i] ?? 0)));
        const smallest = Math.min(...changes.map(size));
        for (const i of after.keys())
          if (changes.includes(i)) expect(kept[i]).toBe(after[i]);
          else if (after[i] !== before[i]) expect(size(i)).toBeLessThanOrEqual(smallest);
      }
    });
  });

  it('takes equal changes from the front, and spends nothing on what did not change', async () => {
    const folder = newFolder();
    const at = (name: string): string => path.join(folder, name);
    const tens = Array.from({ length: 90 }, () => 10);
    // Masks hold infinities, and NaN minus NaN is no change.
    const mask = [NaN, -Infinity, Infinity, NaN, -Infinity, 0, -0, NaN, NaN, Infinity];
    await save(modelOf([tensor('w', 'f32', [100], f32([...mask, ...tens]))]), at('a.safetensors'));
    await save(
      modelOf([tensor('w', 'f32', [100], f32([...mask, ...tens.map(() => 11)]))]),
      at('b.safetensors'),
    );
    await create(at('a.safetensors'), at('b.safetensors'), at('d.mlck'), { lossy: { topk: 0.05 } });
    const values = floats(await bytesOfTensor(at('d.mlck'), 'w'));
    expect([...values.slice(10)]).toEqual([...Array(5).fill(11), ...Array(85).fill(10)]);
    expect([...values.slice(0, 10)]).toEqual(mask);
    const all = await create(at('a.safetensors'), at('b.safetensors'), at('all.mlck'), {
      lossy: { topk: 1 },
    });
    expect(all.target.content).toBe(await contentOf(at('b.safetensors')));
  });

  it('keeps an element that became infinite before any other', async () => {
    const folder = newFolder();
    const at = (name: string): string => path.join(folder, name);
    await save(modelOf([tensor('w', 'f32', [4], f32([1, 2, 3, 4]))]), at('a.safetensors'));
    await save(modelOf([tensor('w', 'f32', [4], f32([100, 2, 3, Infinity]))]), at('b.safetensors'));
    await create(at('a.safetensors'), at('b.safetensors'), at('d.mlck'), { lossy: { topk: 0.25 } });
    expect([...floats(await bytesOfTensor(at('d.mlck'), 'w'))]).toEqual([1, 2, 3, Infinity]);
  });
});

describe('a lossy chain', () => {
  it('builds on what is rebuilt, so that errors do not add up', async () => {
    const folder = path.join(newFolder(), 'run');
    const options = { ...PROVED, lossy: 'int8-delta', lossyOptimizer: 'int8-delta' } as const;
    const steps = [140, 160, 180, 200];
    for (const step of steps) {
      const report = await addToRun(checkpoint(`step0${step}.pt`), folder, options, context);
      expect(report.keyframe).toBe(step === 140);
      expect(await contentOf(`${folder}@${step}`)).toBe(report.target.content);
    }
    expect(await verifyDelta(folder, context)).toMatchObject({ passed: true });
    expect(await contentOf(`${folder}@140`)).toBe(await contentOf(checkpoint('step0140.pt')));
    const name = 'model.fc1.weight';
    const distance = async (step: number): Promise<number> => {
      const [found, meant] = await Promise.all(
        [`${folder}@${step}`, checkpoint(`step0${step}.pt`)].map(async (file) =>
          floats(await bytesOfTensor(file, name)),
        ),
      );
      return Math.max(...[...meant!].map((value, i) => Math.abs(value - (found![i] ?? 0))));
    };
    const [first, last] = [await distance(160), await distance(200)];
    expect(first).toBeGreaterThan(0);
    expect(last).toBeLessThan(first * 2);
  });
});
