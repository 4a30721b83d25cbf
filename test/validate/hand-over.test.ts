import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { memoryTensor, type TensorSource } from '../../src/core/tensor.js';
import { createScratch } from '../../src/io/scratch-file.js';
import { batchesOf } from '../../src/validate/hand-over.js';
import { readingOf, segmentsOf, sessionsOf } from '../../src/validate/proof-plan.js';

/** Tensors that can only be streamed, and how often and how far that was done. */
function streamed(name: string, values: number, piece: number) {
  const bytes = new Uint8Array(Float32Array.from({ length: values }, (_, i) => i).buffer);
  const seen = { passes: 0, ended: 0 };
  const tensor: TensorSource = {
    ...memoryTensor({ name, dtype: 'f32', shape: [values] }, bytes),
    async *stream() {
      seen.passes += 1;
      for (let at = 0; at < bytes.length; at += piece) yield bytes.slice(at, at + piece);
      seen.ended += 1;
    },
  };
  return { tensor, bytes, seen };
}

const MIB = 1 << 20;

describe('tensors that are handed over', () => {
  const all = [streamed('a', 5 * MIB + 7, 1000), streamed('b', 3, 5), streamed('c', 2 * MIB, MIB)];
  const tensors = all.map(({ tensor }) => tensor);
  const sessions = sessionsOf(
    tensors.flatMap((tensor, i) => segmentsOf(i, { ...readingOf(tensor), as: 'f32' })),
    8 * MIB,
  );

  it('are streamed once, whole, into files of which there are two at a time', async () => {
    expect(sessions.length).toBeGreaterThan(2);
    const scratch = createScratch();
    const found = all.map(({ bytes }) => new Uint8Array(bytes.length));
    for await (const { segments } of batchesOf(sessions, tensors, scratch)) {
      expect(readdirSync(scratch.folder).length).toBeLessThanOrEqual(2);
      for (const { tensor, start, bytes, from } of segments) {
        expect(from.offset % 64).toBe(0);
        const file = readFileSync(path.join(scratch.folder, from.location));
        found[tensor]?.set(file.subarray(from.offset, from.offset + bytes), start);
      }
    }
    found.forEach((bytes, i) => {
      expect(Buffer.compare(bytes, all[i]?.bytes ?? bytes.slice(1))).toBe(0);
      expect(all[i]?.seen).toEqual({ passes: 1, ended: 1 });
    });
    expect(readdirSync(scratch.folder)).toEqual([]);
    scratch.remove();
    expect(existsSync(scratch.folder)).toBe(false);
  });

  it('leave no file where the consumer stops, or a tensor fails', async () => {
    const scratch = createScratch();
    for await (const { file } of batchesOf(sessions, tensors, scratch)) {
      expect(file.size).toBeGreaterThan(0);
      break;
    }
    expect(readdirSync(scratch.folder)).toEqual([]);
    const damaged: TensorSource = {
      ...tensors[0]!,
      async *stream() {
        yield new Uint8Array(4 * MIB);
        throw new Error('damaged');
      },
    };
    const consume = async (): Promise<void> => {
      for await (const batch of batchesOf(sessions, [damaged, ...tensors.slice(1)], scratch)) void batch;
    };
    await expect(consume()).rejects.toThrow('damaged');
    expect(readdirSync(scratch.folder)).toEqual([]);
    scratch.remove();
  });
});
