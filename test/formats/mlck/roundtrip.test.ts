import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import { contentId } from '../../../src/core/content-id.js';
import { DTYPES, dtypeFacts } from '../../../src/core/dtype.js';
import type { Model } from '../../../src/core/model.js';
import { PROVENANCE_KEYS } from '../../../src/core/provenance.js';
import { memoryTensor, readTensor } from '../../../src/core/tensor.js';
import type { StateNode } from '../../../src/core/training.js';
import { fromTwosComplement } from '../../../src/formats/mlck/decode.js';
import { twosComplement } from '../../../src/formats/mlck/encode.js';
import { readFrame } from '../../../src/formats/mlck/frame.js';
import { writer } from '../../../src/formats/mlck/writer.js';
import { sha256Hex } from '../../../src/io/hashing.js';
import { memorySource } from '../../../src/io/memory.js';
import { checkpointModel, numbered, weights } from '../../support/checkpoint-model.js';
import { testContext } from '../../support/context.js';
import { memoryOutput } from '../../support/memory-files.js';
import { sampleModel } from '../../support/sample-model.js';
import { manifestOf, open, write } from './files.js';

async function expectSame(read: Model, model: Model): Promise<void> {
  expect(read.tensors.map(({ info }) => info)).toEqual(model.tensors.map(({ info }) => info));
  expect(read.tensors.map(({ role }) => role)).toEqual(model.tensors.map(({ role }) => role));
  for (const [i, tensor] of read.tensors.entries()) {
    const want = await readTensor(model.tensors[i]!);
    expect(Buffer.compare(await readTensor(tensor), want), tensor.info.name).toBe(0);
    expect(tensor.recordedSha256).toBe(await sha256Hex([want]));
  }
  expect(read.aliases).toEqual(model.aliases);
  expect(read.metadata).toEqual(model.metadata);
  expect(read.training).toEqual(model.training);
}

describe.each([
  ['raw', {}],
  ['compressed', { compress: true }],
])('a checkpoint written %s', (_, options) => {
  it('comes back exactly: tensors, ties, roles, metadata, training state', async () => {
    const model = checkpointModel();
    const read = await open(await write(model, options));
    expect(read.findings).toEqual([]);
    expect(read.format).toBe('mlck');
    expect(read.formatVersion).toBe('1.1');
    await expectSame(read, model);
  });

  it('is the same file every time', async () => {
    const one = await write(checkpointModel(), options);
    expect(Buffer.compare(one, await write(checkpointModel(), options))).toBe(0);
    expect(Buffer.compare(one, await write(await open(one), options)), 'written again from itself').toBe(0);
  });

  it('holds every type', async () => {
    for (const dtype of DTYPES) {
      const model =
        dtypeFacts(dtype).block > 1 || dtype === 'str'
          ? {
              ...sampleModel('u8'),
              tensors: [
                memoryTensor(
                  { name: 'x', dtype, shape: dtype === 'str' ? [3] : [2, 256] },
                  numbered(
                    dtype === 'str' ? 31 : (512 / dtypeFacts(dtype).block) * (dtypeFacts(dtype).bits / 8),
                  ),
                ),
              ],
            }
          : sampleModel(dtype);
      expect(writer.check(model, options)).toEqual([]);
      await expectSame(await open(await write(model, options)), model);
    }
  });

  it('gives any range of a tensor of many chunks', async () => {
    const bytes = weights(700_000);
    const tensor = memoryTensor({ name: 'w', dtype: 'f32', shape: [700_000] }, bytes);
    const model: Model = { ...checkpointModel(), tensors: [tensor], aliases: new Map() };
    const [read] = (await open(await write(model, options))).tensors;
    for (const [start, end] of [
      [0, 4],
      [1048572, 1048580],
      [1048576, 2097152],
      [2097148, 2800000],
      [40, 40],
      [0, 2800000],
    ] as const) {
      const parts: Uint8Array[] = [];
      for await (const chunk of read!.stream({ start, end })) {
        expect(chunk.byteLength % 4).toBe(0);
        parts.push(chunk);
      }
      expect(Buffer.compare(Buffer.concat(parts), bytes.subarray(start, end))).toBe(0);
    }
  });
});

describe('the layout', () => {
  it('maps: raw tensors of a MiB and more start at a page, all others at 64 bytes', async () => {
    const large = memoryTensor({ name: 'large', dtype: 'u8', shape: [1 << 20] }, numbered(1 << 20));
    const blocks = memoryTensor({ name: 'blocks', dtype: 'q6_k', shape: [5000, 256] }, numbered(210 * 5000));
    const model = { ...checkpointModel(), tensors: [...checkpointModel().tensors, large, blocks] };
    const file = await write(model);
    for (const { info, location, byteLength } of (await open(file)).tensors) {
      if (byteLength === 0) continue;
      expect(location?.file).toBe('model.mlck');
      const offset = location?.offset ?? 0;
      expect(offset % (byteLength >= 1 << 20 ? 4096 : 64), info.name).toBe(0);
      const bytes = await readTensor(model.tensors.find((t) => t.info.name === info.name)!);
      expect(Buffer.compare(file.subarray(offset, offset + byteLength), bytes), info.name).toBe(0);
    }
  });

  it('is opened by two reads, one where the file is small', async () => {
    const count = async (file: Uint8Array): Promise<number[]> => {
      const reads: number[] = [];
      const source = memorySource(file, 'model.mlck');
      await readFrame({
        ...source,
        read(offset, length) {
          reads.push(length);
          return source.read(offset, length);
        },
      });
      return reads;
    };
    const small = await write(checkpointModel());
    expect(await count(small)).toEqual([small.byteLength]);
    const large = { ...sampleModel('u8') };
    large.tensors = [memoryTensor({ name: 'l', dtype: 'u8', shape: [1 << 20] }, numbered(1 << 20))];
    expect(await count(await write(large))).toEqual([65536, 64]);
  });

  it('stores a tied tensor once, and equal tensors once where it compresses', async () => {
    const same = (name: string) =>
      memoryTensor({ name, dtype: 'f32', shape: [20_000] }, weights(20_000), 'parameter');
    const model: Model = {
      ...sampleModel('u8'),
      tensors: [same('a'), same('b'), same('c'), ...sampleModel('f32').tensors],
      aliases: new Map([['c', 'a']]),
    };
    const manifest = await manifestOf(await write(model, { compress: true }));
    const [a, b, c, next] = manifest.tensors;
    expect(a?.crcs.length).toBe(1);
    expect(b).toMatchObject({ sameBytesAs: 'a', crcs: [] });
    expect(c).toMatchObject({ aliasOf: 'a', crcs: [] });
    expect(next?.offset).toBeLessThan(80_000);
    const twinLast: Model = { ...model, tensors: [same('a'), same('b')], aliases: new Map() };
    expect(
      (await write(twinLast, { compress: true })).byteLength,
      'nothing stays of the second',
    ).toBeLessThan(80_000);
    await expectSame(await open(await write(model, { compress: true })), model);
  });

  it('records the content id of its tensors, ties included', async () => {
    const model = checkpointModel();
    const manifest = await manifestOf(await write(model));
    const leaves = await Promise.all(
      model.tensors.map(async (t) => ({ ...t.info, sha256: await sha256Hex(t.stream()) })),
    );
    expect(manifest.contentId).toBe(contentId(leaves));
  });

  it('is protobuf as the schema says, field for field', async () => {
    const root = protobuf.parse(readFileSync('schemas/checkpoint.proto', 'utf8')).root;
    const type = root.lookupType('mlser.checkpoint.v1.Manifest');
    const model = {
      ...checkpointModel(),
      metadata: new Map([
        ['provenance.framework', 'torch'],
        ['a', 'b'],
      ]),
    };
    const { manifest } = await readFrame(memorySource(await write(model, { compress: true }), 'model.mlck'));
    const decoded = type.decode(manifest);
    expect(Buffer.compare(type.encode(decoded).finish(), manifest), 'nothing that the schema lacks').toBe(0);
    const plain = type.toObject(decoded, { longs: Number, bytes: String, enums: String });
    expect(plain['tensors'][0]).toMatchObject({
      name: 'layer.weight',
      dtype: 'f32',
      shape: [8, 6],
      byteLength: 192,
      role: 'ROLE_PARAMETER',
      offset: 64,
    });
    expect(plain['tensors'][2]).toEqual({
      name: 'head.weight',
      aliasOf: 'layer.weight',
      role: 'ROLE_PARAMETER',
    });
    expect(plain['provenance']).toEqual({ framework: 'torch' });
    expect(plain['training']).toMatchObject({ step: 1200, optimizer: 'AdamW' });
  });
});

describe('provenance', () => {
  const parent = 'ab'.repeat(32);
  const metadata: Model['metadata'] = new Map<string, string | ReadonlyMap<string, number>>([
    [PROVENANCE_KEYS.framework, 'torch'],
    [PROVENANCE_KEYS.frameworkVersion, '2.13.0'],
    [PROVENANCE_KEYS.gitCommit, '0123abc'],
    [PROVENANCE_KEYS.datasetVersion, 'digits-3'],
    [PROVENANCE_KEYS.modelVersion, '1.4.0-rc.1'],
    [PROVENANCE_KEYS.parent, parent],
    [PROVENANCE_KEYS.hyperParameters, new Map([['batch', 32]])],
    ['other', 'kept'],
  ]);

  it('moves from metadata into its own fields, and back', async () => {
    const file = await write({ ...sampleModel('f32'), metadata });
    const manifest = await manifestOf(file);
    expect(manifest.provenance).toEqual({
      framework: 'torch',
      frameworkVersion: '2.13.0',
      gitCommit: '0123abc',
      datasetVersion: 'digits-3',
      modelVersion: '1.4.0-rc.1',
      parent,
      hyperParameters: new Map([['batch', 32]]),
    });
    expect([...manifest.metadata.keys()]).toEqual(['other']);
    expect((await open(file)).metadata).toEqual(metadata);
  });

  it('of the options goes before that of the metadata; values of other types stay metadata', async () => {
    const odd = new Map<string, string | number>([
      [PROVENANCE_KEYS.framework, 'torch'],
      [PROVENANCE_KEYS.gitCommit, 7],
      [PROVENANCE_KEYS.parent, 'not a content id'],
    ]);
    const file = await write({ ...sampleModel('f32'), metadata: odd }, { provenance: { framework: 'jax' } });
    const manifest = await manifestOf(file);
    expect(manifest.provenance).toEqual({ framework: 'jax' });
    expect(manifest.metadata).toEqual(
      new Map<string, string | number>([
        [PROVENANCE_KEYS.gitCommit, 7],
        [PROVENANCE_KEYS.parent, 'not a content id'],
      ]),
    );
  });
});

describe('what cannot be written', () => {
  it('is told before a byte moves', () => {
    const lone = '\ud800';
    const bad: StateNode = { kind: 'list', items: [{ kind: 'string', value: lone }] };
    const model: Model = {
      ...sampleModel('f32'),
      tensors: [memoryTensor({ name: lone, dtype: 'u8', shape: [1] }, numbered(1))],
      metadata: new Map([['nested', [new Map([[lone, 1]])]]]),
      training: { tree: bad },
    };
    expect(writer.check(model, {}).map(({ code, severity }) => [code, severity])).toEqual([
      ['NAME_NOT_UNICODE', 'error'],
      ['METADATA_NOT_UNICODE', 'error'],
      ['TRAINING_NOT_UNICODE', 'error'],
    ]);
  });

  it('a tree that is too deep is E_LIMIT, one of 1000 levels is not', async () => {
    const nested = (depth: number): StateNode => {
      let tree: StateNode = { kind: 'none' };
      for (let i = 0; i < depth; i++) tree = { kind: 'list', items: [tree] };
      return tree;
    };
    const model = (depth: number): Model => ({ ...sampleModel('u8'), training: { tree: nested(depth) } });
    expect((await open(await write(model(1000)))).training).toEqual({ tree: nested(1000) });
    await expect(write(model(1001))).rejects.toMatchObject({ code: 'E_LIMIT' });
  });

  it('a tensor that gives too few or too many bytes is named', async () => {
    const [tensor] = sampleModel('f32').tensors;
    const short = { ...tensor!, stream: () => tensor!.stream({ start: 0, end: 8 }) };
    const long = { ...tensor!, byteLength: 8 };
    for (const bad of [short, long])
      for (const options of [{}, { compress: true }])
        await expect(write({ ...sampleModel('f32'), tensors: [bad] }, options)).rejects.toMatchObject({
          code: 'E_TRUNCATED',
          details: { tensor: 'layer.weight' },
        });
  });

  it('stops when it is told to', async () => {
    const context = { ...testContext(1), signal: AbortSignal.abort() };
    for (const options of [{}, { compress: true }])
      await expect(
        writer.write(sampleModel('f32'), memoryOutput('m.mlck'), { ...context, options }),
      ).rejects.toMatchObject({ code: 'E_INTERRUPTED' });
  });
});

it('integers of any size have one shortest form', () => {
  for (let bits = 0n; bits < 80n; bits++)
    for (const value of [2n ** bits, 2n ** bits - 1n, -(2n ** bits), -(2n ** bits) - 1n]) {
      const bytes = twosComplement(value);
      expect(fromTwosComplement(bytes)).toBe(value);
      expect(bytes.byteLength).toBe(value === 0n ? 0 : Math.ceil((bitLength(value) + 1) / 8));
    }
});
const bitLength = (value: bigint): number => {
  const magnitude = value < 0n ? -value - 1n : value;
  return magnitude === 0n ? 0 : magnitude.toString(2).length;
};
