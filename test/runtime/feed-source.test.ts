import { describe, expect, it } from 'vitest';
import type { DType } from '../../src/core/dtype.js';
import { memoryTensor } from '../../src/core/tensor.js';
import { type ArrayFile, matchNames } from '../../src/runtime/arrays.js';
import { feedsFromFile, SAMPLES_PER_RUN, trim } from '../../src/runtime/feed-source.js';
import type { ValueInfo } from '../../src/runtime/values.js';

type Typed = Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array;
const file = (arrays: Record<string, [DType, number[], Typed]>): ArrayFile => ({
  name: 'feeds.npz',
  arrays: new Map(
    Object.entries(arrays).map(([name, [dtype, shape, data]]) => [
      name,
      memoryTensor({ name, dtype, shape }, new Uint8Array(data.buffer)),
    ]),
  ),
  close: async () => {},
});
const counting = (length: number): Float32Array => Float32Array.from({ length }, (_, i) => i);
const x = (shape: ValueInfo['shape'], type: ValueInfo['type'] = 'float32'): ValueInfo => ({
  name: 'x',
  type,
  shape,
});

describe('feeds from a file', () => {
  it('are run at once while they are few', async () => {
    const feeds = feedsFromFile(file({ x: ['f32', [4, 2], counting(8)] }), [x(['batch', 2])]);
    expect(feeds.slices).toBeUndefined();
    expect((await feeds.load(undefined)).get('x')).toEqual({
      type: 'float32',
      dims: [4, 2],
      data: counting(8),
    });
  });

  it('are cut into batches when there are many samples', async () => {
    const feeds = feedsFromFile(file({ x: ['f32', [150, 1], counting(150)] }), [x(['batch', 1])]);
    expect(feeds.slices?.map(({ count }) => count)).toEqual([SAMPLES_PER_RUN, SAMPLES_PER_RUN, 22]);
    const last = (await feeds.load(feeds.slices?.[2])).get('x');
    expect(last?.dims).toEqual([22, 1]);
    expect(last?.data[0]).toBe(128);
  });

  it('fill up the last batch of a graph that fixes it, and what it gives is cut off again', async () => {
    const feeds = feedsFromFile(file({ x: ['f32', [10, 1], counting(10)] }), [x([4, 1])]);
    expect(feeds.slices).toEqual([
      { start: 0, count: 4, size: 4 },
      { start: 4, count: 4, size: 4 },
      { start: 8, count: 2, size: 4 },
    ]);
    const value = (await feeds.load(feeds.slices?.[2])).get('x');
    expect(value).toEqual({ type: 'float32', dims: [4, 1], data: Float32Array.of(8, 9, 9, 9) });
    expect(value && trim(value, feeds.slices?.[2])).toEqual({
      type: 'float32',
      dims: [2, 1],
      data: Float32Array.of(8, 9),
    });
  });

  it('are not cut along a sequence, or where inputs disagree', () => {
    const many = file({ x: ['f32', [100, 1], counting(100)], h: ['f32', [1, 1], counting(1)] });
    expect(feedsFromFile(many, [x(['seq_len', 1])]).slices).toBeUndefined();
    expect(feedsFromFile(many, [x(['n', 1]), { ...x(['n', 1]), name: 'h' }]).slices).toBeUndefined();
  });

  it('are converted where every value stays what it is', async () => {
    const load = async (dtype: DType, data: Typed, type: ValueInfo['type']) =>
      (await feedsFromFile(file({ x: [dtype, [data.length], data] }), [x(['n'], type)]).load(undefined)).get(
        'x',
      )?.data;
    expect(await load('f64', Float64Array.of(0.5, -2, NaN), 'float32')).toEqual(
      Float32Array.of(0.5, -2, NaN),
    );
    expect(await load('i32', Int32Array.of(1, -2), 'int64')).toEqual(BigInt64Array.of(1n, -2n));
    expect(await load('u8', Uint8Array.of(0, 255), 'float32')).toEqual(Float32Array.of(0, 255));
    const usage = { code: 'E_USAGE', message: expect.stringContaining('exactly') };
    await expect(load('f64', Float64Array.of(0.1), 'float32')).rejects.toMatchObject(usage);
    await expect(load('f32', Float32Array.of(1.5), 'int64')).rejects.toMatchObject(usage);
    await expect(load('i64', BigInt64Array.of(2n ** 60n), 'float64')).rejects.toMatchObject(usage);
  });

  it('must fit: the message says what was needed and what is there', () => {
    const given = file({ z: ['f32', [2, 3], counting(6)], w: ['f32', [1], counting(1)] });
    expect(() => feedsFromFile(given, [x([2])])).toThrow(
      expect.objectContaining({
        code: 'E_USAGE',
        details: expect.objectContaining({ missing: ['x'], found: ['z', 'w'] }),
      }),
    );
    const two = file({ x: ['f32', [2, 3], counting(6)] });
    expect(() => feedsFromFile(two, [x(['n'])])).toThrow(/rank/);
    expect(() => feedsFromFile(two, [x(['n', 4])])).toThrow(
      /needs float32 \[n, 4\], the array is f32 \[2, 3\]/,
    );
    expect(() => feedsFromFile(two, [x(['n', 3], 'string')])).toThrow(
      expect.objectContaining({ code: 'E_USAGE' }),
    );
  });

  it('are found by name, by plain name, and in order if nothing else is left', () => {
    const { arrays } = file({ 'out.0': ['f32', [1], counting(1)], b: ['f32', [1], counting(1)] });
    expect([...matchNames(['out/0', 'b'], arrays)].map(([name, t]) => [name, t.info.name])).toEqual([
      ['out/0', 'out.0'],
      ['b', 'b'],
    ]);
    expect([...matchNames(['p', 'q'], arrays, { inOrder: true }).values()].map((t) => t.info.name)).toEqual([
      'out.0',
      'b',
    ]);
    expect(matchNames(['p', 'q'], arrays).size).toBe(0);
    expect(matchNames(['p'], arrays, { inOrder: true }).size).toBe(0);
  });
});
