import { describe, expect, it } from 'vitest';
import type { Model } from '../../../src/core/model.js';
import { memoryTensor, readTensor, type TensorSource } from '../../../src/core/tensor.js';
import { reader } from '../../../src/formats/mlck/reader.js';
import { memoryFiles } from '../../support/memory-files.js';
import { write } from './files.js';

/** Chunks coded in worker threads. */

const MIB = 1 << 20;

/** Bytes like those of weights: exponents that are few, the rest noise; the same for a seed. */
function weights(bytes: number, seed: number): Uint8Array {
  const out = new Uint8Array(bytes);
  let state = seed;
  for (let i = 0; i < bytes; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    out[i] = i % 2 === 1 ? 0x3c + (state >>> 30) : state >>> 24;
  }
  return out;
}
const tensor = (name: string, bytes: Uint8Array): TensorSource =>
  memoryTensor({ name, dtype: 'bf16', shape: [bytes.length / 2] }, bytes);

const big = weights(5 * MIB + 2468, 1);
const other = weights(4 * MIB, 2);
const model: Model = {
  format: 'memory',
  tensors: [
    tensor('big', big),
    tensor('empty', new Uint8Array()),
    tensor('twin', big),
    tensor('small', weights(100, 3)),
    tensor('zeros', new Uint8Array(2 * MIB)),
    tensor('other', other),
  ],
  aliases: new Map(),
  metadata: new Map(),
  findings: [],
};
const open = (bytes: Uint8Array, threads: number): Promise<Model> =>
  reader.read(memoryFiles('model.mlck', new Map([['model.mlck', bytes]])), { threads });

describe('a compressed checkpoint', () => {
  it('has the same bytes at any number of threads, and gives them back at any', async () => {
    const one = await write(model, { compress: true }, 1);
    expect(one.byteLength).toBeLessThan(big.length + other.length);
    for (const threads of [2, 3, 8])
      expect(Buffer.compare(await write(model, { compress: true }, threads), one), `${threads}`).toBe(0);
    for (const threads of [1, 2, 8]) {
      const read = await open(one, threads);
      for (const [i, found] of read.tensors.entries()) {
        const want = model.tensors[i];
        if (!want) throw new Error('too many tensors');
        expect(found.info).toEqual(want.info);
        expect(Buffer.compare(await readTensor(found), await readTensor(want)), found.info.name).toBe(0);
      }
    }
  });

  it('gives ranges, several at once, and may be left in the middle', async () => {
    const [found] = (await open(await write(model, { compress: true }, 2), 2)).tensors;
    if (!found) throw new Error('no tensor');
    const range = async (start: number, end: number): Promise<void> => {
      const parts: Uint8Array[] = [];
      for await (const part of found.stream({ start, end })) parts.push(part);
      expect(Buffer.compare(Buffer.concat(parts), big.subarray(start, end))).toBe(0);
    };
    await Promise.all([range(0, 5 * MIB), range(MIB - 2, 5 * MIB + 2), range(10, 20), range(0, big.length)]);
    for await (const part of found.stream()) {
      expect(part.byteLength).toBeGreaterThan(0);
      break;
    }
    await range(0, big.length);
  });

  it('that is damaged is refused with the chunk, in workers as here', async () => {
    const bytes = Buffer.from(await write(model, { compress: true }, 2));
    bytes[2 * MIB] = (bytes[2 * MIB] ?? 0) ^ 1;
    const errors = [];
    for (const threads of [1, 2]) {
      const [found] = (await open(bytes, threads)).tensors;
      errors.push(await readTensor(found ?? tensor('none', big)).catch((error: unknown) => error));
    }
    expect(errors[0]).toMatchObject({ code: 'E_INTEGRITY', details: { tensor: 'big', chunk: 3 } });
    expect(errors[1]).toEqual(errors[0]);
  });

  it('of a tensor that fails half-way: the error comes out', async () => {
    const failing: TensorSource = {
      ...tensor('other', other),
      async *stream() {
        yield new Uint8Array(3 * MIB);
        throw new Error('unreadable');
      },
    };
    const broken = { ...model, tensors: [...model.tensors.slice(0, 5), failing] };
    for (const threads of [1, 2])
      await expect(write(broken, { compress: true }, threads)).rejects.toThrow('unreadable');
  });
});
