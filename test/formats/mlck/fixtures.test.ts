import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Model } from '../../../src/core/model.js';
import { readTensor } from '../../../src/core/tensor.js';
import { reader as pytorch } from '../../../src/formats/pytorch/reader.js';
import { diskFiles } from '../../../src/io/disk.js';
import { sha256Hex } from '../../../src/io/hashing.js';
import { checkpointModel } from '../../support/checkpoint-model.js';
import { manifestOf, open, write } from './files.js';

/**
 * Files of every released minor version stay readable. MLSER_UPDATE_FIXTURES=1 writes those of the current version
 * anew: only until it is released.
 */
const CURRENT = '1.1';
const EARLIER = ['1.0'];
const folder = path.resolve('fixtures/mlck');
const trained = (): Promise<Model> =>
  pytorch.read(diskFiles(path.resolve('fixtures/trained/digits_cnn/checkpoints/step0200.pt')), {});

type Fixture = readonly [string, string, () => Model | Promise<Model>, { compress?: boolean }];

const fixturesOf = (version: string): Fixture[] => [
  [`every-value-${version}.mlck`, version, checkpointModel, {}],
  [`every-value-packed-${version}.mlck`, version, checkpointModel, { compress: true }],
  [`digits-cnn-packed-${version}.mlck`, version, trained, { compress: true }],
];

const facts = async (version: string, model: Model, bytes: Uint8Array) => ({
  made_by: `mlser, format ${version}`,
  content_id: (await manifestOf(bytes)).contentId,
  tensors: await Promise.all(
    model.tensors.map(async (tensor) => ({
      name: tensor.info.name,
      dtype: tensor.info.dtype,
      shape: tensor.info.shape,
      sha256: await sha256Hex(tensor.stream()),
    })),
  ),
});

describe.each([CURRENT, ...EARLIER].flatMap(fixturesOf))('%s', (name, version, make, options) => {
  const file = path.join(folder, name);
  it('is read as it was written, and as its sidecar says', async () => {
    const model = await make();
    if (version === CURRENT && process.env['MLSER_UPDATE_FIXTURES'] === '1') {
      const bytes = await write(model, options);
      writeFileSync(file, bytes);
      writeFileSync(`${file}.json`, `${JSON.stringify(await facts(version, model, bytes), null, 1)}\n`);
    }
    const bytes = readFileSync(file);
    const read = await open(bytes);
    expect(read.formatVersion).toBe(version);
    expect(read.findings).toEqual([]);
    expect(JSON.parse(readFileSync(`${file}.json`, 'utf8'))).toEqual(await facts(version, read, bytes));
    for (const [i, tensor] of read.tensors.entries())
      expect(Buffer.compare(await readTensor(tensor), await readTensor(model.tensors[i]!))).toBe(0);
    expect(read.aliases).toEqual(model.aliases);
    expect(read.metadata).toEqual(model.metadata);
    expect(read.training).toEqual(model.training);
  });
});

describe.each(fixturesOf(CURRENT))('%s', (name, _, make, options) => {
  it('is what the writer still writes', async () => {
    expect(Buffer.compare(await write(await make(), options), readFileSync(path.join(folder, name)))).toBe(0);
  });
});

it('the fixtures hold the codecs of their version', async () => {
  const codecs = async (name: string): Promise<number[]> => {
    const { tensors } = await manifestOf(readFileSync(path.join(folder, name)));
    return [...new Set(tensors.flatMap((tensor) => tensor.codecs))].sort((a, b) => a - b);
  };
  expect(await codecs('digits-cnn-packed-1.0.mlck')).toMatchInlineSnapshot(`
    [
      2,
    ]
  `);
  expect(await codecs('digits-cnn-packed-1.1.mlck')).toMatchInlineSnapshot(`
    [
      3,
    ]
  `);
  expect(await codecs('every-value-packed-1.1.mlck')).toMatchInlineSnapshot(`[]`);
});
