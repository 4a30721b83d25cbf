import { createDecipheriv, hkdfSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Model } from '../../../src/core/model.js';
import { memoryTensor, readTensor } from '../../../src/core/tensor.js';
import { decodeManifest } from '../../../src/formats/mlck/decode.js';
import { readFrame } from '../../../src/formats/mlck/frame.js';
import { reader } from '../../../src/formats/mlck/reader.js';
import { openManifest, sealKeys, sealWith } from '../../../src/formats/mlck/seal.js';
import { memorySource } from '../../../src/io/memory.js';
import { checkpointModel, numbered, weights } from '../../support/checkpoint-model.js';
import { memoryFiles } from '../../support/memory-files.js';
import { sampleModel } from '../../support/sample-model.js';
import { write } from './files.js';

const key = numbered(32);
const open = (bytes: Uint8Array, withKey: Uint8Array | undefined = key): Promise<Model> =>
  reader.read(memoryFiles('model.mlck', new Map([['model.mlck', bytes]])), withKey ? { key: withKey } : {});

/** Two tensors whose chunks could be taken for each other, one of them named as the manifest is. */
const twins: Model = {
  ...sampleModel('u8'),
  tensors: ['manifest', 'other'].map((name, i) =>
    memoryTensor({ name, dtype: 'f32', shape: [600_000] }, weights(600_000, i + 1)),
  ),
};

const manifestOf = async (file: Uint8Array) => {
  const { manifest } = await readFrame(memorySource(file, 'model.mlck'));
  return decodeManifest(openManifest(key, manifest, 'model.mlck'), 'model.mlck');
};

describe('an encrypted checkpoint', () => {
  it('comes back with its key, and is the same file every time', async () => {
    for (const [model, options] of [
      [checkpointModel(), {}],
      [twins, { compress: true }],
    ] as const) {
      const file = await write(model, { ...options, key });
      const read = await open(file);
      for (const [i, tensor] of read.tensors.entries())
        expect(Buffer.compare(await readTensor(tensor), await readTensor(model.tensors[i]!))).toBe(0);
      expect(read.metadata).toEqual(model.metadata);
      expect(Buffer.compare(await write(model, { ...options, key }), file)).toBe(0);
      expect(Buffer.from(file).includes('layer.weight')).toBe(false);
    }
  });

  it('is refused without a key, and with another', async () => {
    const file = await write(checkpointModel(), { key });
    await expect(reader.read(memoryFiles('m', new Map([['m', file]])), {})).rejects.toMatchObject({
      code: 'E_USAGE',
    });
    await expect(open(file, numbered(32, 3))).rejects.toMatchObject({ code: 'E_INTEGRITY' });
  });

  it('is what the specification says', async () => {
    const file = await write(twins, { compress: true, key });
    const [record] = (await manifestOf(file)).tensors;
    if (!record) throw new Error('no tensor');
    const derived = new Uint8Array(hkdfSync('sha256', key, new Uint8Array(), 'mlck 1 cipher', 32));
    const cipher = createDecipheriv('aes-256-gcm', derived, record.nonces.subarray(0, 12));
    cipher.setAAD(Buffer.from('tensor manifest#0'));
    cipher.setAuthTag(record.tags.subarray(0, 16));
    const stored = file.subarray(record.offset, record.offset + (record.storedLengths[0] ?? 0));
    const plain = Buffer.concat([cipher.update(stored), cipher.final()]);
    const open = await write(twins, { compress: true });
    expect(Buffer.compare(plain, open.subarray(record.offset, record.offset + plain.length))).toBe(0);
  });

  it('has no chunk that opens in the place of another', async () => {
    const file = await write(twins, { key });
    const [one, two] = (await manifestOf(file)).tensors;
    if (!one || !two) throw new Error('no tensors');
    const { sealOf, tensorContext } = await import('../../../src/formats/mlck/seal.js');
    const { unseal } = await import('../../../src/kernels/codecs/seal.js');
    const first = ({ offset, storedLengths }: typeof one) =>
      file.slice(offset, offset + (storedLengths[0] ?? 0));
    const seal = sealOf(key, tensorContext('manifest'), one.nonces, one.tags);
    expect(unseal(seal, 0, first(one))).toBe(true);
    expect(unseal(seal, 1, first(one))).toBe(false);
    expect(unseal({ ...seal, nonces: two.nonces, tags: two.tags }, 0, first(two))).toBe(false);
    // Nor as the manifest, though the tensor is named so.
    const asManifest = Buffer.concat([one.nonces.subarray(0, 12), one.tags.subarray(0, 16), first(one)]);
    expect(() => openManifest(key, asManifest, 'm')).toThrow(/does not open/);
  });

  it('has a nonce of its own for every place and bytes, whatever the names hold', () => {
    const text = (value: string) => new Uint8Array(Buffer.from(value));
    const nonces = (
      [
        ['a', 0, 'b#0\0c'],
        ['a#0\0b', 0, 'c'],
        ['a', 0, 'c'],
        ['a', 1, 'c'],
        ['a#0', 1, 'c'],
      ] as const
    ).map(([context, index, plain]) => sealWith(sealKeys(key, context), index, text(plain)).nonce);
    expect(new Set(nonces.map((nonce) => Buffer.from(nonce).toString('hex'))).size).toBe(nonces.length);
  });
});
