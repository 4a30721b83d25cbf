import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Model } from '../../../src/core/model.js';
import { memoryTensor, readTensor } from '../../../src/core/tensor.js';
import { reader } from '../../../src/formats/mlck/reader.js';
import { writer } from '../../../src/formats/mlck/writer.js';
import { diskFiles } from '../../../src/io/disk.js';
import { stageOutput } from '../../../src/io/staged.js';
import { transfer } from '../../../src/kernels/transfer.js';
import { numbered, weights } from '../../support/checkpoint-model.js';
import { testContext } from '../../support/context.js';
import { memoryOutput } from '../../support/memory-files.js';
import { sampleModel } from '../../support/sample-model.js';
import { changed, manifestOf, open, write } from './files.js';

const COUNT = 700_000; // three chunks
const model: Model = {
  ...sampleModel('f32'),
  tensors: [
    memoryTensor({ name: 'w', dtype: 'f32', shape: [COUNT] }, weights(COUNT)),
    memoryTensor({ name: 'small', dtype: 'u8', shape: [100] }, numbered(100)),
  ],
};

const flip = (bytes: Uint8Array, at: number): Uint8Array => {
  const copy = Uint8Array.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 0x10;
  return copy;
};

describe.each([
  ['raw', { compress: false }],
  ['compressed', { compress: true }],
])('a damaged chunk of a tensor stored %s', (_, options) => {
  it('is named by a full read and by a partial one, and does not touch the others', async () => {
    const bytes = await write(model, options);
    const [record] = (await manifestOf(bytes)).tensors;
    const second = options.compress ? (record?.storedLengths[0] ?? 0) : 1 << 20;
    const at = Math.ceil(((record?.offset ?? 0) + second) / 64) * 64 + 500;
    const [w, small] = (await open(flip(bytes, at))).tensors;
    const named = { code: 'E_INTEGRITY', details: { tensor: 'w', chunk: 1, file: 'model.mlck' } };
    await expect(readTensor(w!)).rejects.toMatchObject(named);
    const part = { start: (1 << 20) + 40, end: (1 << 20) + 80 };
    await expect(w!.stream(part)[Symbol.asyncIterator]().next()).rejects.toMatchObject(named);
    expect((await w!.stream({ start: 0, end: 40 })[Symbol.asyncIterator]().next()).value?.byteLength).toBe(
      40,
    );
    expect(await readTensor(small!)).toEqual(numbered(100));
  });
});

it('bytes that fit their CRC-32 but not the SHA-256 are refused at the end of a full read', async () => {
  const bytes = await changed(await write(model), ({ tensors }) => ({
    tensors: tensors.map((record) => ({ ...record, sha256: '00'.repeat(32) })),
  }));
  const [, small] = (await open(bytes)).tensors;
  await expect(readTensor(small!)).rejects.toMatchObject({
    code: 'E_INTEGRITY',
    details: { tensor: 'small' },
    message: expect.stringContaining('SHA-256'),
  });
});

describe('on the disk', () => {
  const scratch = mkdtempSync(path.join(tmpdir(), 'mlser-mlck-'));
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  async function save(name: string, threads: number): Promise<string> {
    const file = path.join(scratch, name);
    const output = stageOutput(file, { force: true });
    await writer.write(model, output, { ...testContext(threads), options: {} });
    await output.commit();
    return file;
  }

  it('the bytes are those of memory, at any number of threads', async () => {
    const want = Buffer.from(await write(model));
    expect(Buffer.compare(readFileSync(await save('one.mlck', 1)), want)).toBe(0);
    const read = await reader.read(diskFiles(await save('two.mlck', 2)), {});
    const again = memoryOutput('model.mlck');
    await writer.write(read, again, { ...testContext(2), options: {} });
    expect(Buffer.compare(again.bytes(), want), 'pulled through recipes').toBe(0);
  });

  it('a tensor pulled by its recipe is compared with its CRC-32', async () => {
    const file = await save('damaged.mlck', 1);
    const { tensors } = await reader.read(diskFiles(file), {});
    expect(tensors[0]?.recipe).toMatchObject({ path: file, length: COUNT * 4, ops: [] });
    writeFileSync(file, flip(readFileSync(file), (tensors[0]?.location?.offset ?? 0) + 1_500_000));
    for (const threads of [1, 2]) {
      const target = stageOutput(path.join(scratch, 'out.bin'), { force: true });
      const sink = await target.create('out.bin');
      const damaged = (await reader.read(diskFiles(file), {})).tensors[0];
      await expect(
        transfer([{ tensor: damaged!, sink, offset: 0 }], testContext(threads)),
      ).rejects.toMatchObject({ code: 'E_INTEGRITY' });
      await target.abort();
    }
  });
});
