import { describe, expect, it } from 'vitest';
import { memoryTensor, readTensor } from '../../src/core/tensor.js';
import { keepPositions } from '../../src/kernels/keep-positions.js';

const numbers = (bytes: Uint8Array): number[] => [
  ...new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4),
];
const tensor = (shape: readonly number[]) => {
  const count = shape.reduce((all, size) => all * size, 1);
  const values = Int32Array.from({ length: count }, (_, i) => i);
  return memoryTensor({ name: 't', dtype: 'i32', shape }, new Uint8Array(values.buffer));
};

describe('keepPositions', () => {
  it.each([
    [0, [0, 2], [0, 1, 2, 3, 8, 9, 10, 11]],
    [1, [1, 2], [1, 2, 5, 6, 9, 10]],
    [1, [0, 3], [0, 3, 4, 7, 8, 11]],
  ])('axis %i, positions %j', async (axis, kept, expected) => {
    const cut = keepPositions(tensor([3, 4]), axis, kept);
    expect(cut.info.shape[axis]).toBe(kept.length);
    expect(cut.byteLength).toBe(expected.length * 4);
    expect(numbers(await readTensor(cut))).toEqual(expected);
  });

  it('gives every range of its bytes', async () => {
    const cut = keepPositions(keepPositions(tensor([4, 5, 3]), 1, [0, 1, 4]), 2, [0, 2]);
    const all = await readTensor(cut);
    for (let start = 0; start <= all.length; start += 4)
      for (let end = start; end <= all.length; end += 4) {
        const parts: number[] = [];
        for await (const chunk of cut.stream({ start, end })) parts.push(...chunk);
        expect(parts).toEqual([...all.subarray(start, end)]);
      }
  });

  it('reads rows of more than a few MiB position by position', async () => {
    const wide = keepPositions(tensor([2, 3, 400_000]), 1, [0, 2]);
    const values = numbers(await readTensor(wide));
    expect(values.length).toBe(1_600_000);
    const wrong = values.findIndex(
      (value, i) => value !== i + (i >= 400_000 ? 400_000 : 0) + (i >= 1_200_000 ? 400_000 : 0),
    );
    expect(wrong).toBe(-1);
  });
});
