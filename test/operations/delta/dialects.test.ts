import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';

import path from 'node:path';
import { describe, expect, it } from 'vitest';

import { type Model, tensorMap } from '../../../src/core/model.js';
import { readTensor } from '../../../src/core/tensor.js';

import { DIALECTS, dialectOf } from '../../../src/operations/delta/dialects/index.js';

import { openModel, withModel } from '../../../src/operations/open.js';

import {
  applied,
  base,
  CHANGES,
  contentOf,
  FIXTURES,
  FORMS,
  type Form,
  failure,
  get,
  modelOf,
  newFolder,
  write,
} from '../../support/dialects.js';

describe.each(DIALECTS.map((dialect) => [dialect.id, dialect] as const))('%s', (_, dialect) => {
  it.each(Object.entries(CHANGES))('brings back a model of which %s changed', async (_change, next) => {
    const { main } = await write(dialect, base, next);
    await applied(base, main, async (result) => {
      expect(await contentOf(result)).toBe(await contentOf(next));
      expect(result.metadata).toEqual(base.metadata);
      expect(result.tensors.map(({ info }) => info)).toEqual(base.tensors.map(({ info }) => info));
    });
  });

  it('writes the same bytes again, whatever the order of the tensors', async () => {
    const few = CHANGES['few'] ?? base;
    const shuffled = { ...few, tensors: few.tensors.toReversed() };
    const written = [await write(dialect, base, few), await write(dialect, base, shuffled)];
    const [one, two] = written.map(({ folder }) =>
      readdirSync(folder).map((name) => [name, readFileSync(path.join(folder, name)).toString('base64')]),
    );
    expect(two).toEqual(one);
  });

  it('gives parts of a tensor', async () => {
    const next = CHANGES['few'] ?? base;
    const { main } = await write(dialect, base, next);
    const name = 'model.embed';
    const want = await readTensor(tensorMap(next).get(name)!);
    await applied(base, main, async (result) => {
      const tensor = tensorMap(result).get(name)!;
      for (const [start, end] of [
        [0, 2],
        [7000, 7002],
        [7002, 14010],
        [want.length - 100, want.length],
        [500, 500],
      ] as const) {
        const parts: Uint8Array[] = [];
        for await (const chunk of tensor.stream({ start, end })) parts.push(chunk);
        expect(Buffer.concat(parts).equals(want.subarray(start, end))).toBe(true);
      }
    });
  });

  it('leaves unchanged tensors out, and the base as it is', async () => {
    const { main } = await write(dialect, base, CHANGES['one tensor'] ?? base);
    const before = await contentOf(base);
    await applied(base, main, async (result) => {
      const olds = tensorMap(base);
      const other = result.tensors.filter((tensor) => olds.get(tensor.info.name) !== tensor);
      expect(other.map(({ info }) => info.name)).toEqual(['model.scale']);
      await contentOf(result);
    });
    expect(await contentOf(base)).toBe(before);
    await withModel(main, {}, async ({ model }) => expect(model.tensors.length).toBeLessThan(3));
  });

  it('says that it cannot tell of new, gone and reshaped tensors', async () => {
    const more = modelOf([...FORMS, ['more', 'f32', [2]]]);
    const shaped = modelOf(FORMS.map(([name, dtype, shape]) => [name, dtype, shape.toReversed()]));
    expect(await failure(write(dialect, base, more))).toBe('E_UNSUPPORTED more');
    expect(await failure(write(dialect, more, base))).toBe('E_UNSUPPORTED more');
    expect(await failure(write(dialect, base, shaped))).toBe('E_UNSUPPORTED model.embed');
  });

  it('refuses a base that lacks a tensor or has another size, before any byte is read', async () => {
    const { main } = await write(dialect, base, CHANGES['everything'] ?? base);
    const lacks = { ...base, tensors: base.tensors.filter(({ info }) => info.name !== 'model.norm') };
    const small = modelOf(FORMS.map(([name, dtype, shape]) => [name, dtype, shape.map((dim) => dim >> 1)]));
    const nothing = async (): Promise<void> => {};
    expect(await failure(applied(lacks, main, nothing))).toBe('E_BASE_MISMATCH model.norm');
    expect(await failure(applied(small, main, nothing))).toMatch(/^E_BASE_MISMATCH model\./);
  });

  it('finds a base with other bytes', async () => {
    const { main } = await write(dialect, base, CHANGES['few'] ?? base);
    const other = modelOf(FORMS, (name, bytes) => {
      if (name === 'model.norm') bytes[60] = (bytes[60] ?? 0) ^ 1;
    });
    const expected = dialect.verify ? 'E_BASE_MISMATCH' : 'E_INTEGRITY model.norm';
    expect(await failure(applied(other, main, contentOf))).toBe(expected);
  });

  it('reports what a delta has no place for', async () => {
    const other = { ...base, metadata: new Map([['made_by', 'another']]) };
    expect((await write(dialect, base, other)).codes).toContain('METADATA_NOT_CARRIED');
    expect((await write(dialect, base, base)).codes).not.toContain('METADATA_NOT_CARRIED');
    expect(await failure(write(dialect, base, base, { version: 3, baseVersion: 3 }))).toBe('E_USAGE');
  });

  it('takes names apart that were tied, where only one of them changed', async () => {
    const tied = (model: Model): Model => ({ ...model, aliases: new Map([['model.twin', 'model.norm']]) });
    const forms: readonly Form[] = [FORMS[1]!, ['model.twin', 'f32', [33]]];
    const from = tied(modelOf(forms));
    const to = modelOf(forms, (name, bytes) => {
      if (name === 'model.norm') bytes[0] = ~(bytes[0] ?? 0);
    });
    const { main } = await write(dialect, from, to);
    await applied(from, main, async (result) => {
      expect([...result.aliases]).toEqual([]);
      expect(result.findings.map(({ code }) => code)).toEqual(['TIE_BROKEN']);
      expect(await contentOf(result)).toBe(await contentOf(to));
    });
  });
});

describe('fixtures by other programs', () => {
  it.each([
    ['slime-xor', 'slime-xor/model.safetensors.index.json'],
    ['slime-overwrite', 'slime-overwrite'],
    ['trl-sparse', 'trl-indices.safetensors'],
    ['trl-sparse', 'trl-raw.safetensors'],
    ['trl-sparse', 'trl-gap.safetensors'],
  ])('%s: %s', async (id, file) => {
    const from = await openModel(path.join(FIXTURES, 'base.safetensors'));
    const to = await openModel(path.join(FIXTURES, 'next.safetensors'));
    try {
      await withModel(path.join(FIXTURES, file), {}, async (opened) =>
        expect((await dialectOf(opened))?.id).toBe(id),
      );
      await applied(from.model, path.join(FIXTURES, file), async (result) =>
        expect(await contentOf(result)).toBe(await contentOf(to.model)),
      );
      // Applied twice, a difference undoes itself; new values stay what they are.
      expect(await failure(applied(to.model, path.join(FIXTURES, file), contentOf))).toMatch(
        id === 'slime-xor' ? /^E_INTEGRITY / : /^no error$/,
      );
    } finally {
      await from.close();
      await to.close();
    }
  });

  it.each([
    ['slime-xor', 'model.safetensors.index.json'],
    ['slime-xor', 'model-00000-of-00002.safetensors'],
    ['slime-overwrite', 'model-00000-of-00001.safetensors'],
    ['.', 'trl-indices.safetensors'],
  ])('%s/%s gives the model or a coded error, whichever byte is damaged', async (folder, file) => {
    const copy = newFolder();
    for (const name of readdirSync(path.join(FIXTURES, folder)))
      if (/\.(safetensors|json)$/.test(name))
        copyFileSync(path.join(FIXTURES, folder, name), path.join(copy, name));
    const main = path.join(copy, folder === '.' ? file : 'model.safetensors.index.json');
    const whole = readFileSync(path.join(copy, file));
    const from = await openModel(path.join(FIXTURES, 'base.safetensors'));
    const want = await withModel(path.join(FIXTURES, 'next.safetensors'), {}, ({ model }) =>
      contentOf(model),
    );
    const outcomes = new Map<string, number>();
    for (let at = 0; at < whole.length; at += Math.ceil(whole.length / 150)) {
      const damaged = Buffer.from(whole);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8));
      writeFileSync(path.join(copy, file), damaged);
      const outcome = await failure(
        applied(from.model, main, async (result) => expect(await contentOf(result)).toBe(want)),
      );
      expect(outcome).toMatch(/^(E_[A-Z_]+|no error|Error: .* is in no dialect)/);
      const code = outcome.split(' ')[0] ?? '';
      outcomes.set(code, (outcomes.get(code) ?? 0) + 1);
    }
    await from.close();
    expect([...outcomes.keys()].filter((code) => code.startsWith('E_')).length).toBeGreaterThan(0);
  });

  it('are in no dialect if they are whole models', async () => {
    for (const file of ['base.safetensors', 'next.safetensors'])
      await withModel(path.join(FIXTURES, file), {}, async (opened) =>
        expect(await dialectOf(opened)).toBeUndefined(),
      );
  });
});

describe('chains', () => {
  it('of deltas lead from the first model to the last', async () => {
    const models = [base, CHANGES['few'] ?? base, CHANGES['everything'] ?? base];
    const first = await write(get('slime-xor'), models[0]!, models[1]!, { baseVersion: 0 });
    const second = await write(get('trl-sparse'), models[1]!, models[2]!);
    const content = await applied(base, first.main, (middle) => applied(middle, second.main, contentOf));
    expect(content).toBe(await contentOf(models[2]!));
    copyFileSync(second.main, path.join(first.folder, 'other.safetensors')); // what lies beside is not asked
    expect(await failure(applied(base, first.main, contentOf))).toBe('no error');
  });
});
