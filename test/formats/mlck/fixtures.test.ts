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
const CURRENT = '1.0';
const folder = path.resolve('fixtures/mlck');
const trained = (): Promise<Model> =>
  pytorch.read(diskFiles(path.resolve('fixtures/trained/digits_cnn/checkpoints/step0200.pt')), {});

const fixtures: readonly [string, () => Model | Promise<Model>, { compress?: boolean }][] = [
  [`every-value-${CURRENT}.mlck`, checkpointModel, {}],
  [`every-value-packed-${CURRENT}.mlck`, checkpointModel, { compress: true }],
  [`digits-cnn-packed-${CURRENT}.mlck`, trained, { compress: true }],
];

const facts = async (model: Model, bytes: Uint8Array) => ({
  made_by: `mlser, format ${CURRENT}`,
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

describe.each(fixtures)('%s', (name, make, options) => {
  const file = path.join(folder, name);
  it('is read as it was written, and as its sidecar says', async () => {
    const model = await make();
    if (process.env['MLSER_UPDATE_FIXTURES'] === '1') {
      const bytes = await write(model, options);
      writeFileSync(file, bytes);
      writeFileSync(`${file}.json`, `${JSON.stringify(await facts(model, bytes), null, 1)}\n`);
    }
    const bytes = readFileSync(file);
    const read = await open(bytes);
    expect(JSON.parse(readFileSync(`${file}.json`, 'utf8'))).toEqual(await facts(read, bytes));
    for (const [i, tensor] of read.tensors.entries())
      expect(Buffer.compare(await readTensor(tensor), await readTensor(model.tensors[i]!))).toBe(0);
    expect(read.aliases).toEqual(model.aliases);
    expect(read.metadata).toEqual(model.metadata);
    expect(read.training).toEqual(model.training);
  });

  it('is what the writer still writes', async () => {
    expect(Buffer.compare(await write(await make(), options), readFileSync(file))).toBe(0);
  });
});
