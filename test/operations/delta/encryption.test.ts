import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { keyOf } from '../../../src/cli/key.js';
import { tensorMap } from '../../../src/core/model.js';
import { readTensor } from '../../../src/core/tensor.js';
import { isMlserError } from '../../../src/errors.js';
import { reader } from '../../../src/formats/mlck/reader.js';
import { convertModel } from '../../../src/operations/convert.js';
import { addToRun } from '../../../src/operations/delta/add.js';
import { pruneRun } from '../../../src/operations/delta/prune.js';
import { verifyDelta } from '../../../src/operations/delta/verify.js';
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
  refusal,
  save,
  tensor,
} from '../../support/deltas.js';
import { memoryFiles } from '../../support/memory-files.js';

const key = Uint8Array.from({ length: 32 }, (_, i) => i * 7);
const other = Uint8Array.from({ length: 32 }, (_, i) => i);
const keyed = { ...context, key };
const [base, next] = [checkpoint('step0180.pt'), checkpoint('step0200.pt')];

describe('an encrypted checkpoint', () => {
  it('opens with its key: whole, as a delta, and as a run folder', async () => {
    const folder = newFolder();
    const at = (name: string): string => path.join(folder, name);
    const content = await contentOf(next);
    for (const compress of [false, true]) {
      await convertModel(next, at('whole.mlck'), { ...PROVED, compress, encrypt: true, force: true }, keyed);
      expect(await contentOf(at('whole.mlck'), { key })).toBe(content);
    }
    await convertModel(base, at('base.mlck'), { ...PROVED, encrypt: true }, keyed);
    await create(at('base.mlck'), next, at('delta.mlck'), {}, keyed);
    await apply(at('base.mlck'), [at('delta.mlck')], at('out.pt'), keyed);
    expect(await contentOf(at('out.pt'))).toBe(content);
    // The base may be open, and one file alone may be read.
    await create(base, next, at('open base.mlck'), {}, keyed);
    expect(await contentOf(at('open base.mlck'), { key, bases: [base] })).toBe(content);

    const run = at('run');
    const steps = [140, 160, 180, 200];
    for (const step of steps) await addToRun(checkpoint(`step0${step}.pt`), run, PROVED, keyed);
    expect(await verifyDelta(run, keyed)).toMatchObject({ passed: true });
    await pruneRun(run, { ...PROVED, keepLast: 2 }, keyed);
    expect(await contentOf(`${run}@200`, { key })).toBe(content);
    expect((await refusal(contentOf(`${run}@200`))).code).toBe('E_USAGE');
    expect((await refusal(addToRun(base, run, { ...PROVED, name: 'x' }, context))).code).toBe('E_USAGE');
  });

  it('does not open without it, or with another one', async () => {
    const folder = newFolder();
    const at = (name: string): string => path.join(folder, name);
    await create(base, next, at('delta.mlck'), {}, keyed);
    expect(await refusal(contentOf(at('delta.mlck'), { bases: [base] }))).toMatchObject({
      code: 'E_USAGE',
      hint: expect.stringContaining('--key-file'),
    });
    expect(await refusal(contentOf(at('delta.mlck'), { key: other, bases: [base] }))).toMatchObject({
      code: 'E_INTEGRITY',
      hint: expect.stringContaining('key'),
    });
    expect(await verifyDelta(at('delta.mlck'), { ...context, key: other })).toMatchObject({ passed: false });
    for (const output of ['out.safetensors', 'out.mlck'])
      expect(
        await refusal(
          convertModel(
            next,
            at(output),
            { ...PROVED, encrypt: true },
            output === 'out.mlck' ? context : keyed,
          ),
        ),
      ).toMatchObject({ code: 'E_USAGE' });
  });

  it('shows no name, no value and no byte of a tensor', async () => {
    const folder = newFolder();
    const at = (name: string): string => path.join(folder, name);
    const secret = noise(4096, 9);
    const model = modelOf([tensor('a.secret.name', 'u8', [4096], secret)], {
      metadata: new Map([['secret key', 'secret value']]),
      training: { tree: { kind: 'string', value: 'secret state' }, optimizer: 'secret optimizer' },
    });
    await save(model, at('raw.mlck'), { key });
    await save(model, at('packed.mlck'), { key, compress: true });
    await save(modelOf([tensor('a.secret.name', 'u8', [4096], nudged(secret, 50))]), at('base.safetensors'));
    await create(at('base.safetensors'), at('raw.mlck'), at('delta.mlck'), {}, keyed);
    for (const name of ['raw.mlck', 'packed.mlck', 'delta.mlck']) {
      const bytes = readFileSync(at(name));
      expect(bytes.includes('secret'), name).toBe(false);
      for (let from = 0; from + 12 <= secret.length; from += 12)
        if (bytes.includes(Buffer.from(secret.subarray(from, from + 12))))
          expect.fail(`${name} shows byte ${from}`);
      expect(bytes.includes(Buffer.from(await contentOf(at(name), { key }), 'hex')), name).toBe(false);
      expect(Buffer.compare(await bytesOfTensor(at(name), 'a.secret.name', { key }), secret), name).toBe(0);
    }
  });

  it('has the same bytes each time, at any number of threads, and others with another key', async () => {
    const folder = newFolder();
    const at = (name: string): string => path.join(folder, name);
    const names = ['a', 'b', 'c'];
    const count = 1 << 20;
    const big = (seed: number) =>
      modelOf(names.map((name) => tensor(name, 'f32', [count], noise(count * 4, seed + name.charCodeAt(0)))));
    await save(big(1), at('a.safetensors'));
    await save(big(2), at('b.safetensors'));
    const written: Buffer[] = [];
    for (const threads of [1, 2, 4]) {
      await create(
        at('a.safetensors'),
        at('b.safetensors'),
        at('d.mlck'),
        { force: true },
        { ...keyed, threads },
      );
      written.push(readFileSync(at('d.mlck')));
      expect(await contentOf(at('d.mlck'), { key })).toBe(await contentOf(at('b.safetensors')));
    }
    expect(written[1]?.equals(written[0]!)).toBe(true);
    expect(written[2]?.equals(written[0]!)).toBe(true);
    await create(
      at('a.safetensors'),
      at('b.safetensors'),
      at('d.mlck'),
      { force: true },
      { ...context, key: other },
    );
    const [mine, theirs] = [written[0]!, readFileSync(at('d.mlck'))];
    expect(mine.length).toBe(theirs.length);
    expect(mine.subarray(4096, 8192).equals(theirs.subarray(4096, 8192))).toBe(false);
  });

  it('changed in any one byte is refused, or means the same', async () => {
    const folder = newFolder();
    const at = (name: string): string => path.join(folder, name);
    const [a, b] = [noise(400, 3), noise(36, 4)];
    const from = modelOf([tensor('w', 'f32', [100], a), tensor('b', 'f32', [9], b), tensor('n', 'u8', [5])]);
    const to = modelOf([
      tensor('w', 'f32', [100], nudged(a, 40)),
      tensor('b', 'f32', [9], b),
      tensor('n', 'u8', [5], noise(5, 77)),
    ]);
    await save(from, at('base.safetensors'));
    await save(to, at('next.safetensors'));
    await create(at('base.safetensors'), at('next.safetensors'), at('d.mlck'), {}, keyed);
    const good = readFileSync(at('d.mlck'));
    expect(good.length).toBeLessThan(3000);
    const meant = tensorMap(to);
    /** The code of the error, or what differs. */
    const outcome = async (bytes: Uint8Array): Promise<string> => {
      try {
        const files = memoryFiles('d.mlck', new Map([['d.mlck', bytes]]));
        const model = await reader.read(files, { key, findBase: async () => from });
        for (const each of model.tensors) {
          const expected = meant.get(each.info.name);
          if (!expected || Buffer.compare(await readTensor(each), await readTensor(expected)) !== 0)
            return `other bytes in ${each.info.name}`;
        }
        return model.tensors.length === meant.size ? 'same' : 'other tensors';
      } catch (error) {
        if (!isMlserError(error)) throw error;
        return error.code;
      }
    };
    expect(await outcome(good)).toBe('same');
    const unnoticed: number[] = [];
    for (let at = 0; at < good.length; at++) {
      const copy = Uint8Array.from(good);
      copy[at] = (copy[at] ?? 0) ^ (1 << (at % 8));
      const found = await outcome(copy);
      if (found === 'same') unnoticed.push(at);
      else expect(found, `byte ${at}`).toMatch(/^E_(INTEGRITY|MALFORMED|TRUNCATED|UNSUPPORTED)$/);
    }
    // Gaps between chunks are all that may differ: nothing stands there.
    for (const at of unnoticed) expect(at).toBeGreaterThanOrEqual(64);
    for (const at of unnoticed) expect(good[at], `byte ${at}`).toBe(0);
  });

  it('a chunk or a manifest of another file with the same key does not fit', async () => {
    const folder = newFolder();
    const at = (name: string): string => path.join(folder, name);
    const [a, b] = [noise(4096, 3), noise(4096, 4)];
    await save(modelOf([tensor('w', 'u8', [4096], a), tensor('v', 'u8', [4096], b)]), at('1.mlck'), { key });
    await save(modelOf([tensor('w', 'u8', [4096], b), tensor('v', 'u8', [4096], a)]), at('2.mlck'), { key });
    const [one, two] = [readFileSync(at('1.mlck')), readFileSync(at('2.mlck'))];
    expect(one.length).toBe(two.length);
    const end = Number(one.readBigUInt64LE(one.length - 64));
    for (const bytes of [
      Buffer.concat([one.subarray(0, end), two.subarray(end)]),
      Buffer.concat([one.subarray(0, 64), two.subarray(64, end), one.subarray(end)]),
    ]) {
      writeFileSync(at('mixed.mlck'), bytes);
      expect((await refusal(contentOf(at('mixed.mlck'), { key }))).code).toBe('E_INTEGRITY');
    }
  });
});

describe('a key', () => {
  const folder = newFolder();
  const at = (name: string): string => path.join(folder, name);
  const hex = Buffer.from(key).toString('hex');
  const file = (name: string, content: string | Uint8Array): string => {
    writeFileSync(at(name), content);
    return at(name);
  };

  it('is 32 bytes or 64 digits in a file, or digits in the environment', () => {
    for (const [name, content] of [
      ['raw', key],
      ['hex', hex],
      ['line', `${hex}\n`],
      ['windows', ` ${hex.toUpperCase()}\r\n`],
    ] as const)
      expect(keyOf(file(name, content), {}), name).toEqual({ key });
    expect(keyOf(undefined, { MLSER_KEY: ` ${hex}\n` })).toEqual({ key });
    expect(keyOf(at('raw'), { MLSER_KEY: 'no key' })).toEqual({ key });
    expect(keyOf(undefined, {})).toEqual({});
    expect(keyOf(undefined, { MLSER_KEY: '' })).toEqual({});
  });

  it('is refused if it is none, without showing it', () => {
    const bad = [
      () => keyOf(file('empty', ''), {}),
      () => keyOf(file('short', hex.slice(1)), {}),
      () => keyOf(file('long', `${hex}0`), {}),
      () => keyOf(file('words', 'correct horse battery staple'), {}),
      () => keyOf(file('31', key.slice(1)), {}),
      () => keyOf(file('large', Buffer.alloc(100_000, hex)), {}),
      () => keyOf(undefined, { MLSER_KEY: hex.slice(2) }),
      () => keyOf(undefined, { MLSER_KEY: at('raw') }),
    ];
    for (const [i, work] of bad.entries()) {
      let error: unknown;
      try {
        work();
      } catch (reason) {
        error = reason;
      }
      expect(error, `${i}`).toMatchObject({ code: 'E_USAGE', hint: expect.stringContaining('openssl rand') });
      expect(JSON.stringify(error) + String(error)).not.toContain(hex.slice(2, 20));
    }
    expect(() => keyOf(at('no such file'), {})).toThrow(expect.objectContaining({ code: 'E_NOT_FOUND' }));
    expect(() => keyOf(folder, {})).toThrow(expect.objectContaining({ code: 'E_IO' }));
  });
});
