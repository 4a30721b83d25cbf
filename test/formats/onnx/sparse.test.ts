import { describe, expect, it } from 'vitest';
import { readTensor } from '../../../src/core/tensor.js';
import { readBytes, refusal, tensorBytes } from './read.js';
import { int, len, model, packed, text } from './wire.js';

/** A sparse initializer of u8 values. */
const sparse = (
  dims: readonly number[],
  values: readonly number[],
  indexDims: readonly number[],
  indices: readonly number[],
): Uint8Array =>
  model([
    len(
      15,
      len(1, int(1, values.length), int(2, 2), text(8, 'w'), len(9, values)),
      len(2, ...indexDims.map((dim) => int(1, dim)), int(2, 7), packed(7, indices)),
      ...dims.map((dim) => int(3, dim)),
    ),
  ]);

describe('sparse initializers', () => {
  it('are read in dense form, linear or by coordinates', async () => {
    const want = [0, 5, 0, 0, 0, 6];
    expect(await tensorBytes(await readBytes(sparse([2, 3], [5, 6], [2], [1, 5])), 'w')).toEqual(want);
    expect(await tensorBytes(await readBytes(sparse([2, 3], [5, 6], [2, 2], [0, 1, 1, 2])), 'w')).toEqual(
      want,
    );
    expect(await tensorBytes(await readBytes(sparse([2, 2], [], [0], [])), 'w')).toEqual([0, 0, 0, 0]);
  });

  it('are streamed in parts', async () => {
    const opened = await readBytes(sparse([3_000_000], [1, 2, 3], [3], [0, 1_500_000, 2_999_999]));
    const all = await readTensor(opened.tensors[0]!);
    expect([all[0], all[1_500_000], all[2_999_999], all.reduce((sum, value) => sum + value, 0)]).toEqual([
      1, 2, 3, 6,
    ]);
    const part: number[] = [];
    for await (const chunk of opened.tensors[0]!.stream({ start: 1_499_999, end: 1_500_002 }))
      part.push(...chunk);
    expect(part).toEqual([0, 2, 0]);
  });

  it.each([
    ['an index outside', [2, 3], [1], [1], [6], /index 0 is 6, outside 0 to 5/],
    ['a negative index', [2, 3], [1], [1], [-1], /is -1/],
    ['a coordinate outside', [2, 3], [1], [1, 2], [0, 3], /is 3, outside 0 to 2/],
    ['descending indices', [6], [1, 2], [2], [4, 1], /index 1 is not in ascending order/],
    ['an index twice', [6], [1, 2], [2], [4, 4], /index 1 is a duplicate/],
    ['another number of indices', [6], [1, 2], [1], [4], /2 values but 1 indices/],
    ['a dense form that overflows', [2 ** 30, 2 ** 30], [1], [1], [0], /overflows/],
    ['a dense form too large to build', [2 ** 40], [1], [1], [0], /VIEW_EXPANSION_BYTES/],
  ] as const)('refuse %s', async (_, dims, values, indexDims, indices, message) => {
    expect((await refusal(readBytes(sparse(dims, values, indexDims, indices)))).message).toMatch(message);
  });
});
