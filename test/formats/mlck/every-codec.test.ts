import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { contentId } from '../../../src/core/content-id.js';
import type { DType } from '../../../src/core/dtype.js';
import type { DeltaBase, LossyMethod } from '../../../src/core/format.js';
import type { Model } from '../../../src/core/model.js';
import { memoryTensor, readTensor } from '../../../src/core/tensor.js';
import { reader } from '../../../src/formats/mlck/reader.js';
import { sha256Hex } from '../../../src/io/hashing.js';
import { loadCodecs } from '../../../src/kernels/codecs/index.js';
import { roundChunk } from '../../../src/kernels/codecs/lossy.js';
import { numbered, weights } from '../../support/checkpoint-model.js';
import { memoryFiles } from '../../support/memory-files.js';
import { sampleModel } from '../../support/sample-model.js';
import { manifestOf, write } from './files.js';

/** Files of 1.1 with a tensor for every codec, named after it: they stay readable, however writers choose later. */

const folder = path.resolve('fixtures/mlck');
const COUNT = 2000;
const tensor = (name: string, dtype: DType, bytes: Uint8Array, width = 4) =>
  memoryTensor({ name, dtype, shape: [bytes.length / width] }, bytes);

const f32 = weights(COUNT);
/** Every `every`th element, the others zero. */
const some = (bytes: Uint8Array, width: number, every: number): Uint8Array =>
  bytes.map((byte, at) => (Math.floor(at / width) % every === 0 ? byte : 0));
const add = (bytes: Uint8Array, by: (i: number) => number): Uint8Array => {
  const elements = new Uint32Array(bytes.slice().buffer);
  return new Uint8Array(elements.map((x, i) => x + by(i)).buffer);
};
const numbers = (bytes: Uint8Array, value: (x: number, i: number) => number): Uint8Array =>
  new Uint8Array(new Float32Array(bytes.slice().buffer).map(value).buffer);

const base: Model = {
  ...sampleModel('u8'),
  tensors: [
    tensor('raw', 'u8', weights(8).subarray(0, 30), 1),
    tensor('zstd', 'u8', numbered(4000), 1),
    tensor(
      'planes',
      'i32',
      add(new Uint8Array(COUNT * 4), (i) => 70_000 * i),
    ),
    tensor('planes-huffman', 'f32', f32),
    tensor('sparse', 'f32', some(f32, 4, 7)),
    tensor(
      'palette',
      'f32',
      numbers(f32, (x) => Math.round(x * 100) / 7),
    ),
    tensor('residual', 'f32', weights(COUNT, 2)),
    tensor('sparse-residual', 'bf16', weights(COUNT, 3).subarray(0, COUNT * 2), 2),
    tensor('xor-planes', 'f64', weights(COUNT, 4), 8),
    tensor('bf16-delta', 'f32', weights(COUNT, 5)),
    tensor('int8-delta', 'f32', weights(COUNT, 6)),
  ],
};
const bytesOf = new Map(
  await Promise.all(base.tensors.map(async (t) => [t.info.name, await readTensor(t)] as const)),
);
const was = (name: string): Uint8Array => bytesOf.get(name) ?? new Uint8Array();

const moved = (name: string): Uint8Array =>
  numbers(was(name), (x, i) => x + 0.001 * Math.fround(((i * 37) % 101) / 101 - 0.5));
const METHODS: readonly LossyMethod[] = ['bf16-delta', 'int8-delta'];
const rounded = (method: LossyMethod): Uint8Array =>
  roundChunk('f32', method, moved(method), was(method))?.result ?? new Uint8Array();

const next: Model = {
  ...base,
  tensors: [
    tensor('zstd', 'u8', was('zstd'), 1), // same as the base's
    tensor(
      'residual',
      'f32',
      add(was('residual'), (i) => ((i * 37) % 101) - 50),
    ),
    tensor(
      'sparse-residual',
      'bf16',
      was('sparse-residual').map((byte, at) => (at % 26 === 0 ? byte ^ 5 : byte)),
      2,
    ),
    tensor(
      'xor-planes',
      'f64',
      was('xor-planes').map((byte, at) => (at % 8 < 2 ? byte ^ (at % 13) : byte)),
      8,
    ),
    ...METHODS.map((method) => tensor(method, 'f32', rounded(method))),
  ],
};

async function deltaOf(): Promise<DeltaBase> {
  const hashes = new Map<string, string>();
  for (const { info } of base.tensors) hashes.set(info.name, await sha256Hex([was(info.name)]));
  const content = contentId(
    base.tensors.map(({ info }) => ({ ...info, sha256: hashes.get(info.name) ?? '' })),
  );
  const lossy = new Map(
    METHODS.map((method) => [method, { original: tensor(method, 'f32', moved(method)), method }]),
  );
  const info = { base: content, depth: 1, file: 'every-codec-1.1.mlck', lossy: 'two tensors are rounded' };
  return { model: base, content, hashes, info, lossy };
}

const DELTA = 'every-codec-delta-1.1.mlck';
const files = [
  ['every-codec-1.1.mlck', base, async () => write(base, { compress: true, codecs: { level: 2 } })],
  [DELTA, next, async () => write(next, { compress: true, delta: await deltaOf() })],
] as const;

const open = (name: string, findBase?: () => Promise<Model>): Promise<Model> =>
  reader.read(memoryFiles(name, new Map([[name, new Uint8Array(readFileSync(path.join(folder, name)))]])), {
    ...(findBase ? { findBase } : {}),
  });

describe.each(files)('%s', (name, model, make) => {
  const file = path.join(folder, name);

  it('is what the writer writes, each tensor with its codec', async () => {
    const bytes = await make();
    if (process.env['MLSER_UPDATE_FIXTURES'] === '1') writeFileSync(file, bytes);
    expect(Buffer.compare(bytes, readFileSync(file))).toBe(0);
    const known = await loadCodecs();
    for (const { name: wanted, codecs, sameAsBase, base: below } of (await manifestOf(bytes)).tensors) {
      if (model === next && wanted === 'zstd')
        expect({ sameAsBase, below }).toEqual({ sameAsBase: true, below: 'zstd' });
      else if (model === next || [...known.values()].some((c) => c.name === wanted && !c.needsBase))
        expect(
          codecs.map((codec) => known.get(codec)?.name),
          wanted,
        ).toEqual([wanted]);
    }
  });

  it('is read as it was written', async () => {
    const read = await open(name, async () => base);
    expect(read.tensors.length).toBe(model.tensors.length);
    for (const [i, found] of read.tensors.entries())
      expect(
        Buffer.compare(await readTensor(found), await readTensor(model.tensors[i]!)),
        found.info.name,
      ).toBe(0);
  });
});

it('the delta is no use without its base, or with another one', async () => {
  const alone = await open(DELTA);
  expect(alone.findings).toMatchObject([{ code: 'BASE_NOT_FOUND' }, { code: 'LOSSY_DELTA' }]);
  expect(alone.tensors.map(({ info }) => info)).toEqual(next.tensors.map(({ info }) => info));
  for (const found of alone.tensors)
    await expect(readTensor(found)).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
  const other = {
    ...base,
    tensors: base.tensors.map(({ info }) =>
      memoryTensor(
        info,
        was(info.name).map((byte) => byte ^ 1),
      ),
    ),
  };
  for (const found of (await open(DELTA, async () => other)).tensors)
    await expect(readTensor(found), found.info.name).rejects.toMatchObject({ code: 'E_INTEGRITY' });
  await expect(open(DELTA, async () => ({ ...base, tensors: [] }))).rejects.toMatchObject({
    code: 'E_BASE_MISMATCH',
  });
});
