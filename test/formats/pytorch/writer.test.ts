import { describe, expect, it } from 'vitest';
import type { Model } from '../../../src/core/model.js';
import { memoryTensor, renamed } from '../../../src/core/tensor.js';
import { writer } from '../../../src/formats/pytorch/writer.js';
import { memorySource } from '../../../src/io/memory.js';
import { memberSource, readMember, readZipDirectory } from '../../../src/io/zip/directory.js';
import { EVERY_NODE, numbered } from '../../support/checkpoint-model.js';
import { contents, floats, openFixture, written } from './support.js';

const model = (tensors: Model['tensors'], more: Partial<Model> = {}): Model => ({
  format: 'memory',
  tensors,
  aliases: new Map(),
  metadata: new Map(),
  findings: [],
  ...more,
});
const weight = memoryTensor({ name: 'w', dtype: 'f32', shape: [2, 2] }, floats(1, 2, 3, 4));

describe('round trips', () => {
  it.each([
    ...[
      'checkpoint_full.pt',
      'checkpoint_sgd.pt',
      'legacy_checkpoint.pt',
      'list_of_tensors.pt',
      'int_keys.pt',
    ],
    ...[
      'bare_tensor.pt',
      'dtypes.pt',
      'dtypes_exotic.pt',
      'shared_views.pt',
      'tied_lm_state_dict.pt',
      'sparse.pt',
    ],
    ...['quantized_tensors.pt', 'quantized_dynamic_module.pt', 'whole_module.pt', 'special_values.pt'],
  ])('%s keeps tensors, ties, state and quantization', async (name) => {
    const before = await openFixture(name);
    expect(writer.check(before, {})).toEqual([]);
    const { back } = await written(before);
    expect(await contents(back)).toEqual(await contents(before));
    expect(back.aliases).toEqual(before.aliases);
    expect(back.training).toEqual(before.training);
    expect(back.metadata).toEqual(before.metadata);
    expect(back.findings).toEqual([]);
  });

  it('keeps every kind of value', async () => {
    if (EVERY_NODE.kind !== 'dict') throw new Error('a dict was expected');
    // Python holds 0, -0.0 and False equal as keys: this tree has them, a dictionary cannot.
    const entries = EVERY_NODE.entries.filter(
      ([key, value]) => key.kind !== 'float' && value.kind !== 'tensor',
    );
    const tree = { ...EVERY_NODE, entries: entries.filter(([key]) => key.kind !== 'bool') };
    const { back } = await written(model([weight], { training: { tree } }));
    const got = back.training?.tree;
    expect(got?.kind === 'dict' && got.entries.slice(1)).toEqual(tree.entries);
  });
});

describe('layout', () => {
  it('is the same for the same model, aligned and with the records that torch writes', async () => {
    const source = await openFixture('checkpoint_full.pt');
    const first = await written(source, {}, 'a.pt');
    const second = await written(source, {}, 'b.pt');
    expect(Buffer.compare(first.bytes, second.bytes)).toBe(0);
    const zip = await readZipDirectory(memorySource(first.bytes, 'a.pt'));
    const names = zip.members.map(({ name }) => name);
    expect(names.slice(0, 4)).toEqual(
      ['data.pkl', '.format_version', '.storage_alignment', 'byteorder'].map((name) => `archive/${name}`),
    );
    expect(names.slice(-2)).toEqual(['archive/version', 'archive/.data/serialization_id']);
    for (const member of zip.members) {
      expect((await member.dataOffset()) % 64).toBe(0);
      await readMember(zip, member); // checks its CRC
    }
    const [version] = zip.members.filter(({ name }) => name.endsWith('/version'));
    expect(Buffer.from(await (await memberSource(zip, version!)).read(0, 2)).toString()).toBe('3\n');
  });

  it('stores shared bytes once', async () => {
    const tied = renamed(weight, 'head');
    const { bytes, back } = await written(model([weight, tied], { aliases: new Map([['head', 'w']]) }));
    const zip = await readZipDirectory(memorySource(bytes, 'a.pt'));
    expect(zip.members.filter(({ name }) => name.includes('/data/'))).toHaveLength(1);
    expect(back.aliases.get('head')).toBe('w');
  });

  it('writes empty tensors', async () => {
    const empty = memoryTensor({ name: 'e', dtype: 'i64', shape: [3, 0, 2] }, new Uint8Array());
    const { back } = await written(model([empty, weight]));
    expect(back.tensors.map(({ info }) => info.shape)).toEqual([
      [3, 0, 2],
      [2, 2],
    ]);
  });
});

describe('trees that do not fit their tensors', () => {
  it('renamed tensors go to the top under their name', async () => {
    const source = await openFixture('checkpoint_sgd.pt');
    const tensors = source.tensors.map((t) => renamed(t, t.info.name.replace(/^model\./, 'net/')));
    const { back } = await written({ ...source, tensors });
    expect(new Set(back.tensors.map(({ info }) => info.name))).toEqual(
      new Set(tensors.map(({ info }) => info.name)),
    );
    expect(back.training?.learningRate).toBe(source.training?.learningRate);
  });

  it('references to tensors that are gone are left out, others are added', async () => {
    const { training } = await openFixture('checkpoint_sgd.pt');
    const { back } = await written(model([weight], { training: training! }));
    expect(back.tensors.map(({ info }) => info.name)).toEqual(['w']);
    expect(back.training?.learningRate).toBe(0.05);
  });

  it('a tree without room for them gives way', async () => {
    const list = { kind: 'list', items: [{ kind: 'tensor', name: '0' }] } as const;
    const zero = renamed(weight, '0');
    const { back } = await written(model([zero, weight], { training: { tree: list } }));
    expect(back.tensors.map(({ info }) => info.name)).toEqual(['0', 'w']);
  });
});

describe('what is lost is told', () => {
  it('types that torch has not', () => {
    const tensor = memoryTensor({ name: 'q', dtype: 'i4', shape: [2] }, Uint8Array.of(1));
    expect(writer.check(model([tensor]), {})).toMatchObject([
      { severity: 'error', code: 'DTYPE_UNSUPPORTED' },
    ]);
    const odd = memoryTensor({ name: 'f', dtype: 'f4_e2m1', shape: [3] }, Uint8Array.of(1, 2));
    expect(writer.check(model([odd]), {})).toMatchObject([{ severity: 'error', code: 'DTYPE_UNSUPPORTED' }]);
  });

  it('metadata, and objects of other libraries', async () => {
    const metadata = new Map([['licence', 'MIT']]);
    expect(writer.check(model([weight], { metadata }), {})).toMatchObject([
      { severity: 'warning', code: 'METADATA_DROPPED', subject: 'licence' },
    ]);
    const objects = await openFixture('checkpoint_objects.pt');
    expect(writer.check(objects, {}).map(({ code, subject }) => `${code} ${subject}`)).toEqual([
      'STATE_SIMPLIFIED numpy.ndarray',
      'STATE_SIMPLIFIED pathlib.PurePosixPath',
    ]);
    const { back } = await written(objects);
    const tree = back.training?.tree;
    const array =
      tree?.kind === 'dict' && tree.entries.find(([k]) => k.kind === 'string' && k.value === 'np_fortran');
    expect(array ? array[1] : array).toMatchObject({
      kind: 'list',
      items: [{ kind: 'list' }, { kind: 'list' }],
    });
  });

  it('training state in shards', async () => {
    const source = await openFixture('checkpoint_full.pt');
    expect(writer.check(source, { shardSize: 4000 })).toMatchObject([{ code: 'TRAINING_DROPPED' }]);
  });
});

describe('shards', () => {
  it('are written with their index and keep ties together', async () => {
    const source = await openFixture('sharded_bin/pytorch_model.bin.index.json');
    const { output, back } = await written(source, { shardSize: 24_000 }, 'pytorch_model.bin');
    expect(output.main).toBe('pytorch_model.bin.index.json');
    const index = JSON.parse(Buffer.from(output.bytes()).toString());
    expect(index.metadata.total_size).toBe(67968);
    expect(index.weight_map['head.weight']).toBe('pytorch_model-00001-of-00004.bin');
    expect(await contents(back)).toEqual(await contents(source));
    expect(back.aliases).toEqual(source.aliases);
  });

  it('one shard is a plain file; other names are refused', async () => {
    const { output } = await written(model([weight]), { shardSize: 1 << 20 });
    expect(output.main).toBe('model.pt');
    const two = model([weight, memoryTensor({ name: 'v', dtype: 'u8', shape: [16] }, numbered(16))]);
    await expect(written(two, { shardSize: 16 }, 'model.ckpt')).rejects.toMatchObject({ code: 'E_USAGE' });
  });
});
