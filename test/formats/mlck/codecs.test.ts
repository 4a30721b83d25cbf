import * as zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { Model } from '../../../src/core/model.js';
import { memoryTensor, readTensor } from '../../../src/core/tensor.js';
import { CODEC_NAMES } from '../../../src/kernels/codecs/numbers.js';
import { loadZstd } from '../../../src/kernels/codecs/zstd.js';
import { numbered, weights } from '../../support/checkpoint-model.js';
import { sampleModel } from '../../support/sample-model.js';
import { manifestOf, open, write } from './files.js';

/** Codecs in files; test/kernels/codecs has those of the chunks themselves. */

const zeros = new Uint8Array(1 << 20);

const modelOf = (...tensors: Model['tensors']): Model => ({ ...sampleModel('u8'), tensors });
const f32 = (bytes: Uint8Array) =>
  memoryTensor({ name: 'w', dtype: 'f32', shape: [bytes.length / 4] }, bytes);
const u8 = (bytes: Uint8Array) => memoryTensor({ name: 'w', dtype: 'u8', shape: [bytes.length] }, bytes);

/** The names of the codecs of the only tensor. */
async function codecsOf(file: Uint8Array): Promise<(string | undefined)[]> {
  const [record] = (await manifestOf(file)).tensors;
  return (record?.codecs ?? []).map((codec) => CODEC_NAMES.get(codec));
}

describe('a compressed file', () => {
  it('has a codec for each chunk, and gives back what it was given', async () => {
    const bytes = weights(300_000);
    bytes.fill(0, 1 << 20); // the second chunk
    const file = await write(modelOf(f32(bytes)), { compress: true });
    expect(await codecsOf(file)).toEqual(['planes-huffman', 'sparse']);
    const [tensor] = (await open(file)).tensors;
    expect(Buffer.compare(await readTensor(tensor!), bytes)).toBe(0);
  });

  it('has only the codecs that were allowed', async () => {
    const bytes = weights(300_000);
    for (const [only, want] of [
      [['planes'], ['planes', 'planes']],
      [['zstd'], ['zstd', 'zstd']],
      [[], []],
    ] as const) {
      const file = await write(modelOf(f32(bytes)), { compress: true, codecs: { level: 2, only } });
      expect(await codecsOf(file)).toEqual(want);
      expect(Buffer.compare(await readTensor((await open(file)).tensors[0]!), bytes)).toBe(0);
    }
  });

  it('unfolds at most 1024 times: a chunk of nothing still has its place', async () => {
    const file = await write(modelOf(u8(zeros)), { compress: true });
    const [record] = (await manifestOf(file)).tensors;
    expect(record?.storedLengths[0]).toBeLessThan(20);
    expect(file.byteLength).toBeGreaterThan(1024);
    expect(Buffer.compare(await readTensor((await open(file)).tensors[0]!), zeros)).toBe(0);
  });
});

describe('zstd', () => {
  it('does not unfold a frame beyond the length that is asked for', async () => {
    const zstd = await loadZstd();
    const bomb = zstd.compress(new Uint8Array(64 << 20));
    expect(bomb.byteLength).toBeLessThan(10_000);
    const before = process.memoryUsage().rss;
    expect(zstd.decompress(bomb, 1 << 20)).toBe(undefined);
    expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20);
  });

  it('is standard: Node reads it where Node can', async (context) => {
    const native = (zlib as { zstdDecompressSync?: (bytes: Uint8Array) => Uint8Array }).zstdDecompressSync;
    if (!native) context.skip('this version of Node has no zstd');
    const zstd = await loadZstd();
    expect(Buffer.compare(native!(zstd.compress(numbered(5000))), numbered(5000))).toBe(0);
  });
});
