import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DType } from '../../../src/core/dtype.js';
import { DTYPES } from '../../../src/core/dtype.js';
import type { WriteOptions } from '../../../src/core/format.js';
import type { MetadataValue, Model } from '../../../src/core/model.js';
import { memoryTensor, readTensor } from '../../../src/core/tensor.js';
import { openInput } from '../../../src/formats/open.js';
import { SAFETENSORS_DTYPES } from '../../../src/formats/safetensors/dtypes.js';
import { compareUtf8 } from '../../../src/formats/safetensors/layout.js';
import { writer } from '../../../src/formats/safetensors/writer.js';
import { stageOutput } from '../../../src/io/staged.js';
import { testContext } from '../../support/context.js';

const fixtures = path.resolve(import.meta.dirname, '../../../fixtures');
let folder = '';
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'mlser-write-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function write(model: Model, name: string, options: WriteOptions = {}, force = false): Promise<void> {
  const files = stageOutput(path.join(folder, name), { force });
  try {
    await writer.write(model, files, { ...testContext(1), options });
    await files.commit();
  } catch (error) {
    await files.abort();
    throw error;
  }
}
async function withModel<T>(input: string, work: (model: Model) => Promise<T>): Promise<T> {
  const { files, descriptor } = await openInput(input);
  try {
    return await work(await (await descriptor.reader()).read(files, {}));
  } finally {
    await files.close();
  }
}
const written = (name: string): Buffer => readFileSync(path.join(folder, name));

const u8 = (name: string, size: number, dtype: DType = 'u8') =>
  memoryTensor({ name, dtype, shape: [size] }, new Uint8Array(size));
const model = (tensors: Model['tensors'], metadata: [string, MetadataValue][] = []): Model => ({
  format: 'test',
  tensors,
  aliases: new Map(),
  metadata: new Map(metadata),
  findings: [],
});

describe('safetensors writer', () => {
  const references = readdirSync(fixtures, { recursive: true, encoding: 'utf8' }).filter(
    (name) => /^(safetensors|trained)\b.*\.safetensors$/.test(name) && !/\b(edge|sharded)\b/.test(name),
  );

  it.each(references)('writes %s byte for byte as the reference library did', async (name) => {
    const original = path.join(fixtures, name);
    await withModel(original, async (source) => {
      expect(writer.check(source, {})).toEqual([]);
      const shuffled = { ...source, tensors: [...source.tensors].reverse() };
      await write(shuffled, 'out.safetensors');
    });
    expect(written('out.safetensors').equals(readFileSync(original))).toBe(true);
  });

  it('writes shards and index byte for byte as the Hub library did', async () => {
    const original = path.join(fixtures, 'safetensors/sharded');
    await withModel(original, (source) => write(source, 'model.safetensors', { shardSize: 24_000 }));
    const names = readdirSync(folder);
    expect(names).toEqual(readdirSync(original).filter((name) => name !== 'expected.json'));
    for (const name of names)
      expect(written(name).equals(readFileSync(path.join(original, name)))).toBe(true);
  });

  it('writes one file if one shard suffices', async () => {
    await write(model([u8('a', 10)]), 'model.safetensors', { shardSize: 10 });
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
  });

  it('writes an index where the target is one, even for one shard', async () => {
    await write(model([u8('a', 10)]), 'm.safetensors.index.json');
    expect(readdirSync(folder)).toEqual(['m-00001-of-00001.safetensors', 'm.safetensors.index.json']);
    await withModel(folder, async (read) => expect(read.tensors).toHaveLength(1));
  });

  it('replaces a single file by shards only with force, and leaves no stale one', async () => {
    const two = model([u8('a', 10), u8('b', 10)]);
    await write(two, 'model.safetensors');
    await expect(write(two, 'model.safetensors', { shardSize: 10 })).rejects.toMatchObject({
      code: 'E_EXISTS',
    });
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
    await write(two, 'model.safetensors', { shardSize: 10 }, true);
    expect(readdirSync(folder)).toEqual([
      'model-00001-of-00002.safetensors',
      'model-00002-of-00002.safetensors',
      'model.safetensors.index.json',
    ]);
  });

  it('refuses to replace a shard that is there', async () => {
    writeFileSync(path.join(folder, 'model-00002-of-00002.safetensors'), 'mine');
    const two = model([u8('a', 10), u8('b', 10)]);
    await expect(write(two, 'model.safetensors', { shardSize: 10 })).rejects.toMatchObject({
      code: 'E_EXISTS',
    });
    expect(readdirSync(folder)).toEqual(['model-00002-of-00002.safetensors']);
    expect(written('model-00002-of-00002.safetensors').toString()).toBe('mine');
  });

  it('keeps odd names, metadata and empty tensors', async () => {
    const names = ['__proto__', 'constructor', '', '😀', '\uff21', '"\\\n\u0000', '10', '2'];
    const source = model(
      names.map((name, i) => u8(name, i)),
      [
        ['2', 'x'],
        ['10', 'y'],
        ['__proto__', '\u0001é😀'],
      ],
    );
    await write(source, 'odd.safetensors');
    await withModel(path.join(folder, 'odd.safetensors'), async (read) => {
      expect(new Map(read.tensors.map((t) => [t.info.name, t.byteLength]))).toEqual(
        new Map(names.map((name, i) => [name, i])),
      );
      expect([...read.metadata]).toEqual([...source.metadata]);
    });
  });

  it('sorts names by their UTF-8 bytes', () => {
    const names = ['\u{1f600}', '\uff21', 'a', 'Z', 'ab', '\u{1f601}', 'é', ''];
    const bytes = [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect([...names].sort(compareUtf8)).toEqual(bytes);
  });

  it('turns other metadata into text and says so', async () => {
    const source = model(
      [],
      [
        ['s', 'text'],
        ['n', 2n ** 60n],
        ['m', new Map<string, MetadataValue>([['a', [1, null, true]]])],
      ],
    );
    expect(writer.check(source, {})).toMatchObject([
      { severity: 'warning', code: 'METADATA_STRINGIFIED', subject: 'n' },
    ]);
    await write(source, 'm.safetensors');
    await withModel(path.join(folder, 'm.safetensors'), async (read) =>
      expect([...read.metadata]).toEqual([
        ['s', 'text'],
        ['n', '1152921504606846976'],
        ['m', '{"a":[1,null,true]}'],
      ]),
    );
  });

  it.each(DTYPES)('stores %s, or says by name that it cannot', async (dtype) => {
    const tensor = memoryTensor({ name: 'w', dtype, shape: [256] }, new Uint8Array(8));
    const findings = writer.check(model([tensor]), {});
    if (SAFETENSORS_DTYPES.has(dtype)) expect(findings).toEqual([]);
    else
      expect(findings).toMatchObject([
        {
          severity: 'error',
          code: 'DTYPE_UNSUPPORTED',
          subject: 'w',
          message: expect.stringContaining(dtype),
        },
      ]);
  });

  it.each([
    [
      'half a byte',
      model([memoryTensor({ name: 'w', dtype: 'f4_e2m1', shape: [3, 5] }, new Uint8Array(8))]),
      'DTYPE_UNSUPPORTED',
    ],
    ['the reserved name', model([u8('__metadata__', 1)]), 'NAME_RESERVED'],
    ['half a surrogate pair', model([u8('a\ud800', 1)]), 'NAME_NOT_UNICODE'],
    ['half a surrogate pair in metadata', model([], [['k', '\udc00']]), 'METADATA_NOT_UNICODE'],
  ])('cannot store %s', (_, source, code) => {
    expect(writer.check(source, {})).toMatchObject([{ severity: 'error', code }]);
  });

  it('allows scalars, empty tensors and even counts of sub-byte elements', () => {
    const of = (shape: number[]) =>
      memoryTensor({ name: `${shape}`, dtype: 'f4_e2m1', shape }, new Uint8Array(0));
    expect(writer.check(model([of([3, 2]), of([0, 3]), of([2 ** 40, 3])]), {})).toEqual([]);
    const scalar = memoryTensor({ name: 's', dtype: 'i64', shape: [] }, new Uint8Array(8));
    expect(writer.check(model([scalar]), {})).toEqual([]);
  });

  it('says what gets lost', () => {
    const source: Model = {
      ...model([u8('a', 1), u8('b', 1)]),
      aliases: new Map([['b', 'a']]),
      training: { tree: { kind: 'none' } },
      graph: {
        irVersion: 10,
        opsets: new Map(),
        producer: '',
        name: '',
        inputs: [],
        outputs: [],
        nodes: 0,
        ops: new Map(),
        functions: 0,
        subgraphs: 0,
        proto: undefined,
      },
    };
    expect(writer.check(source, {}).map((f) => [f.severity, f.code, f.subject])).toEqual([
      ['info', 'ALIAS_EXPANDED', 'b'],
      ['warning', 'TRAINING_DROPPED', 'training'],
      ['warning', 'GRAPH_DROPPED', 'graph'],
    ]);
  });

  it('writes the bytes it was given', async () => {
    const bytes = Uint8Array.from({ length: 300 }, (_, i) => i);
    await write(
      model([memoryTensor({ name: 'x', dtype: 'u8', shape: [300] }, bytes), u8('w', 8, 'i8')]),
      'x.safetensors',
    );
    await withModel(path.join(folder, 'x.safetensors'), async (read) => {
      const x = read.tensors.find((t) => t.info.name === 'x');
      expect(await readTensor(x!)).toEqual(bytes);
    });
  });
});
