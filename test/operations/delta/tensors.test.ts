import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Model } from '../../../src/core/model.js';
import { renamed } from '../../../src/core/tensor.js';
import { CODEC_NAMES, RAW } from '../../../src/kernels/codecs/numbers.js';
import { squashDeltas } from '../../../src/operations/delta/create.js';
import { diffModels } from '../../../src/operations/diff.js';
import { withModel } from '../../../src/operations/open.js';
import { checkpointModel } from '../../support/checkpoint-model.js';
import { testContext } from '../../support/context.js';
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
  nudged,
  PROVED,
  save,
  tensor,
} from '../../support/deltas.js';

/** Saves both, makes the delta, applies it, and checks that nothing differs. Gives the report of the delta. */
async function roundtrip(base: Model, next: Model, threads = 1) {
  const folder = newFolder();
  const at = (name: string): string => path.join(folder, name);
  await save(base, at('base.mlck'));
  await save(next, at('next.mlck'));
  const work = testContext(threads);
  const report = await create(at('base.mlck'), at('next.mlck'), at('delta.mlck'), {}, work);
  await apply(at('base.mlck'), [at('delta.mlck')], at('applied.mlck'), work);
  expect(readFileSync(at('applied.mlck')).equals(readFileSync(at('next.mlck')))).toBe(true);
  const actions = new Map(report.tensors.map(({ name, action }) => [name, action]));
  return { report, actions, at };
}

describe('tensors that the base lacks or has otherwise', () => {
  const w = noise(4000, 3);

  it('renamed: nothing is stored again', async () => {
    const { report, actions } = await roundtrip(
      modelOf([tensor('old.weight', 'f32', [1000], w)]),
      modelOf([tensor('new.weight', 'f32', [10, 100], w)]),
    );
    expect(actions).toEqual(new Map([['new.weight', 'base']]));
    expect(report).toMatchObject({ changedTensors: 0, changedFraction: 0 });
  });

  it('renamed and swapped: each takes the bytes of the other', async () => {
    const v = noise(4000, 4);
    const { actions } = await roundtrip(
      modelOf([tensor('a', 'f32', [1000], w), tensor('b', 'f32', [1000], v)]),
      modelOf([tensor('a', 'f32', [1000], v), tensor('b', 'f32', [1000], w)]),
    );
    expect([...actions.values()]).toEqual(['base', 'base']);
  });

  it('new and removed', async () => {
    const { report, actions } = await roundtrip(
      modelOf([tensor('gone', 'f32', [1000], w), tensor('stays', 'i64', [4])]),
      modelOf([tensor('stays', 'i64', [4]), tensor('new', 'f32', [1000], nudged(w, 3))]),
    );
    expect(actions).toEqual(
      new Map([
        ['stays', 'base'],
        ['new', 'store'],
      ]),
    );
    expect(report.changedTensors).toBe(1);
  });

  it('of another type, or another length', async () => {
    const { actions } = await roundtrip(
      modelOf([tensor('a', 'f32', [1000], w), tensor('b', 'f32', [1000], w), tensor('c', 'f32', [1000], w)]),
      modelOf([
        tensor('a', 'i32', [1000], w),
        tensor('b', 'bf16', [1000]),
        tensor('c', 'f32', [999], w.slice(4)),
      ]),
    );
    expect([...actions.values()]).not.toContain('base');
    expect([...actions.values()]).not.toContain('delta');
  });

  it('of another shape with as many elements: still a difference', async () => {
    const { actions } = await roundtrip(
      modelOf([tensor('a', 'f32', [1000], w)]),
      modelOf([tensor('a', 'f32', [50, 20], nudged(w, 400))]),
    );
    expect(actions.get('a')).toBe('delta');
  });
});

describe('odd tensors', () => {
  it('every type, tied, empty, scalar and text tensors, and every kind of training value', async () => {
    const next = checkpointModel();
    const { at } = await roundtrip(next, {
      ...next,
      tensors: next.tensors.map((old) =>
        old.info.name === 'words' ? tensor('words', 'str', [2], noise(33, 8)) : old,
      ),
    });
    expect((await diffModels(at('applied.mlck'), at('next.mlck'), { run: false }, context)).same).toBe(true);
  });

  it('tied ones change together and are stored once', async () => {
    const tied = (bytes: Uint8Array): Model => {
      const embed = tensor('embed', 'f32', [500], bytes);
      return modelOf([embed, renamed(embed, 'head')], { aliases: new Map([['head', 'embed']]) });
    };
    const { actions } = await roundtrip(tied(noise(2000, 3)), tied(nudged(noise(2000, 3), 200)));
    expect([...actions.values()]).toEqual(['delta', 'alias']);
  });

  it('that were tied and no longer are, and the other way round', async () => {
    const bytes = noise(2000, 3);
    const embed = tensor('embed', 'f32', [500], bytes);
    const tied = modelOf([embed, renamed(embed, 'head')], { aliases: new Map([['head', 'embed']]) });
    const apart = modelOf([embed, tensor('head', 'f32', [500], nudged(bytes, 100))]);
    await roundtrip(tied, apart);
    await roundtrip(apart, tied);
  });

  it('of zeros, of one value, of NaN and of both signs of zero', async () => {
    const fill = (byte: number): Uint8Array => new Uint8Array(4096).fill(byte);
    const names = ['zeros', 'ones', 'nan', 'becomes zero', 'sign'];
    const model = (...bytes: Uint8Array[]) =>
      modelOf(bytes.map((each, i) => tensor(names[i]!, 'f32', [1024], each)));
    const minusZero = new Uint8Array(new Float32Array(1024).fill(-0).buffer);
    await roundtrip(
      model(fill(0), fill(1), fill(0xff), noise(4096, 2), fill(0)),
      model(fill(0), fill(2), nudged(fill(0xff), 8, 1), fill(0), minusZero),
    );
  });

  it('a model without tensors, and one whose only tensor is empty', async () => {
    await roundtrip(modelOf([]), modelOf([tensor('e', 'f32', [0, 3])]));
    await roundtrip(modelOf([tensor('e', 'f32', [0, 3])]), modelOf([]));
    await roundtrip(modelOf([tensor('e', 'f32', [0, 3])]), modelOf([tensor('e', 'f32', [0, 3])]));
  });

  it('with the same bytes as another one of the delta', async () => {
    const bytes = noise(4000, 7);
    const { actions } = await roundtrip(
      modelOf([tensor('a', 'f32', [1000]), tensor('b', 'f32', [1000])]),
      modelOf([tensor('a', 'f32', [1000], bytes), tensor('b', 'f32', [1000], bytes)]),
    );
    expect(actions.get('b')).toBe('twin');
  });
});

describe('a delta of', () => {
  it('equal models holds no bytes of them', async () => {
    const folder = newFolder();
    const file = path.join(folder, 'same.mlck');
    const report = await create(checkpoint('step0200.pt'), checkpoint('step0200.pt'), file);
    expect(report).toMatchObject({ changedTensors: 0, changedFraction: 0 });
    await withModel(file, { bases: [checkpoint('step0200.pt')] }, async ({ model }) =>
      expect(model.training?.step).toBe(200),
    );
    expect(statSync(file).size).toBeLessThan(18_000); // names, hashes and the training state
  });

  it('few changes takes little room, one tensor can be read alone, and squashing gives the direct one', async () => {
    const count = 400_000;
    const [a, b] = [noise(count * 4, 3), noise(8000, 4)];
    const c = nudged(a, 40_000);
    const d = nudged(c, 70_000, 8);
    const { at, report } = await roundtrip(
      modelOf([tensor('w', 'f32', [count], a), tensor('b', 'f32', [2000], b)]),
      modelOf([tensor('w', 'f32', [count], c), tensor('b', 'f32', [2000], b)]),
    );
    expect(report.ratio).toBeGreaterThan(200);
    expect(report.changedFraction).toBeLessThan(1e-3);
    await save(
      modelOf([tensor('w', 'f32', [count], d), tensor('b', 'f32', [2000], nudged(b, 800))]),
      at('third.mlck'),
    );
    await create(at('delta.mlck'), at('third.mlck'), at('second.mlck'));
    expect(Buffer.compare(await bytesOfTensor(at('second.mlck'), 'w'), d)).toBe(0);
    await squashDeltas(
      at('base.mlck'),
      [at('delta.mlck'), at('second.mlck')],
      at('squashed.mlck'),
      PROVED,
      context,
    );
    await create(at('base.mlck'), at('third.mlck'), at('direct.mlck'));
    expect(readFileSync(at('squashed.mlck')).equals(readFileSync(at('direct.mlck')))).toBe(true);
    expect(await contentOf(at('squashed.mlck'))).toBe(await contentOf(at('third.mlck')));
  });

  it('more than 8 MiB has the same bytes at 1, 2 and 4 threads, and from every source', async () => {
    const folder = newFolder();
    const at = (name: string): string => path.join(folder, name);
    const count = 1 << 20;
    const names = ['a', 'b', 'c'];
    const bytes = names.map((_, i) => noise(count * 4, i + 1));
    await save(
      modelOf(names.map((name, i) => tensor(name, 'f32', [count], bytes[i]!))),
      at('base.safetensors'),
    );
    const changes = bytes.map((each, i) => nudged(each, [4, 1000, 100_000][i]!));
    const next = modelOf(names.map((name, i) => tensor(name, 'f32', [count], changes[i]!)));
    await save(next, at('next.safetensors'));
    await save(next, at('next.mlck'), { compress: true });
    const written: Buffer[] = [];
    for (const threads of [1, 2, 4]) {
      await create(
        at('base.safetensors'),
        at('next.safetensors'),
        at('d.mlck'),
        { force: true },
        testContext(threads),
      );
      written.push(readFileSync(at('d.mlck')));
    }
    await create(at('base.safetensors'), at('next.mlck'), at('e.mlck'), {}, testContext(2));
    for (const other of [...written.slice(1), readFileSync(at('e.mlck'))])
      expect(withoutOrigin(other).equals(withoutOrigin(written[0]!))).toBe(true);
    await apply(at('base.safetensors'), [at('d.mlck')], at('out.safetensors'), testContext(2));
    expect(await contentOf(at('out.safetensors'))).toBe(await contentOf(at('next.safetensors')));
  });

  it('files that are replaced meanwhile, time and again, is one of what they hold now', async () => {
    const folder = newFolder();
    const at = (name: string): string => path.join(folder, name);
    for (const megabytes of [0.01, 9])
      for (const threads of [1, 2])
        for (let round = 0; round < 3; round++) {
          const length = megabytes * 1024 * 1024 - ((megabytes * 1024 * 1024) % 4);
          const model = (seed: number) =>
            modelOf([tensor('w', 'f32', [length / 4], noise(length, seed * 10 + round))]);
          await save(model(1), at('base.mlck'), { compress: round === 1 });
          await save(model(2), at('next.safetensors'));
          const work = testContext(threads);
          const options = { force: true };
          const report = await create(at('base.mlck'), at('next.safetensors'), at('d.mlck'), options, work);
          expect(report.validation.passed).toBe(true);
          const content = await contentOf(at('next.safetensors'));
          expect(await contentOf(at('d.mlck')), `${megabytes} MB, ${threads} threads`).toBe(content);
        }
  });

  const codecs = [...CODEC_NAMES].filter(([id]) => id !== RAW && id < 24).map(([, name]) => name);
  it.each(codecs)('only %s, and at level 2, is as exact', async (name) => {
    const folder = newFolder();
    const [base, next] = [checkpoint('step0180.pt'), checkpoint('step0200.pt')];
    const file = path.join(folder, 'd.mlck');
    for (const level of [1, 2]) {
      const report = await create(base, next, file, { force: true, codecs: { level, only: [name] } });
      const known = ['base', 'twin', 'alias', 'raw', name];
      expect(Object.keys(report.codecs).filter((codec) => !known.includes(codec))).toEqual([]);
      expect(await contentOf(file, { bases: [base] })).toBe(await contentOf(next));
    }
  });
});

/** The data of the file: behind them the manifest says in which file it was made from what. */
const withoutOrigin = (file: Buffer): Buffer =>
  file.subarray(0, Number(file.readBigUInt64LE(file.length - 64)));
