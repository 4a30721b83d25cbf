import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openInput } from '../../../src/formats/open.js';
import { safetensorsBytes } from './build.js';

const INDEX = 'model.safetensors.index.json';
let folder = '';
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'mlser-shards-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const put = (name: string, bytes: string | Uint8Array): void => writeFileSync(path.join(folder, name), bytes);
/** A shard with u8 scalars of these names. */
const shard = (names: string[], metadata = ''): Uint8Array =>
  safetensorsBytes(
    `{${metadata}${names.map((name, i) => `"${name}":{"dtype":"U8","shape":[],"data_offsets":[${i},${i + 1}]}`)}}`,
    names.length,
  );
const index = (map: Record<string, string>, metadata?: object): void =>
  put(INDEX, JSON.stringify({ ...(metadata ? { metadata } : {}), weight_map: map }));
const read = async () => {
  const { files, descriptor } = await openInput(folder);
  try {
    return await (await descriptor.reader()).read(files, {});
  } finally {
    await files.close();
  }
};
const MAP = { a: '1.safetensors', b: '2.safetensors' };

describe('sharded safetensors', () => {
  beforeEach(() => {
    put('1.safetensors', shard(['a']));
    put('2.safetensors', shard(['b']));
  });

  it('are one model', async () => {
    index(MAP, { total_size: 2, total_parameters: 2, note: { deep: [1, null] } });
    const model = await read();
    expect(model.tensors.map((t) => [t.info.name, t.location?.file])).toEqual([
      ['a', '1.safetensors'],
      ['b', '2.safetensors'],
    ]);
    expect([...model.metadata]).toEqual([['note', new Map([['deep', [1, null]]])]]);
    expect(model.findings).toEqual([]);
  });

  it('warn about a wrong total and contradicting metadata', async () => {
    put('1.safetensors', shard(['a'], '"__metadata__":{"k":"1"},'));
    put('2.safetensors', shard(['b'], '"__metadata__":{"k":"2"},'));
    index(MAP, { total_size: 3 });
    const model = await read();
    expect(model.findings.map((f) => f.code)).toEqual(['METADATA_CONFLICT', 'TOTAL_SIZE_WRONG']);
    expect(model.metadata.get('k')).toBe('1');
  });

  it('say which shard is missing and what it should hold', async () => {
    index({ ...MAP, c: '3.safetensors', d: '3.safetensors' });
    await expect(read()).rejects.toMatchObject({
      code: 'E_NOT_FOUND',
      message: expect.stringContaining('3.safetensors is not there; it should hold 2 tensors'),
    });
  });

  it('say which tensor is missing in its shard', async () => {
    index({ ...MAP, ghost: '2.safetensors' });
    await expect(read()).rejects.toMatchObject({
      code: 'E_MALFORMED',
      message: expect.stringContaining('tensor "ghost" is not in 2.safetensors'),
      details: { tensor: 'ghost' },
    });
  });

  it('say which tensor the index does not claim', async () => {
    put('2.safetensors', shard(['b', 'a']));
    index(MAP);
    await expect(read()).rejects.toMatchObject({
      code: 'E_MALFORMED',
      details: { shard: '2.safetensors', unclaimed: ['a'] },
    });
  });

  it('are never read through a link out of the folder', async () => {
    const outside = mkdtempSync(path.join(tmpdir(), 'mlser-outside-'));
    try {
      writeFileSync(path.join(outside, 'x.safetensors'), shard(['b']));
      rmSync(path.join(folder, '2.safetensors'));
      symlinkSync(path.join(outside, 'x.safetensors'), path.join(folder, '2.safetensors'));
      index(MAP);
      await expect(read()).rejects.toMatchObject({ code: 'E_UNSAFE' });
    } finally {
      rmSync(outside, { recursive: true });
    }
  });

  it('may be none', async () => {
    index({});
    expect((await read()).tensors).toEqual([]);
  });
});
