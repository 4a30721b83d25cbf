import { describe, expect, it } from 'vitest';
import { ATTEMPTS, DimResolver, type DimSizes } from '../../src/runtime/dims.js';
import { generateFeeds } from '../../src/runtime/feeds.js';
import type { ValueInfo } from '../../src/runtime/values.js';

const sizes: DimSizes = { batch: 2, sequence: 8, past: 3, channels: 5, spatial: 16 };
const ids = (name: string, shape: ValueInfo['shape'] = ['batch', 'seq']): ValueInfo => ({
  name,
  type: 'int64',
  shape,
});
const shape = (...dims: (number | string | null)[]): number[] =>
  new DimResolver(sizes).shapeOf({ name: 'x', type: 'float32', shape: dims });

describe('made-up feeds', () => {
  it('give open dimensions a size by their name or their place', () => {
    expect(shape('batch', 'sequence_length', 64)).toEqual([2, 8, 64]);
    expect(shape(null, null, null, null)).toEqual([2, 5, 16, 16]);
    expect(shape('N', 3, 'height', 'width')).toEqual([2, 3, 16, 16]);
    expect(shape('past_sequence_length', 4)).toEqual([3, 4]);
    // Speech: a batch of n samples.
    expect(shape('batch', 'n')).toEqual([2, 8]);
  });

  it('work out sums and products of symbols', () => {
    const resolver = new DimResolver(sizes);
    const of = (dim: string): number | undefined =>
      resolver.shapeOf({ name: 'mask', type: 'int64', shape: ['batch', dim] })[1];
    expect(of('seq')).toBe(8);
    expect(of('past_len + seq')).toBe(11);
    expect(of('2*seq')).toBe(16);
    expect(of('seq - 1')).toBe(7);
  });

  it('know the states of recurrent networks and sample rates', () => {
    const state: ValueInfo = { name: 'state', type: 'float32', shape: [2, null, 128] };
    expect(new DimResolver(sizes).shapeOf(state)).toEqual([2, 2, 128]);
    expect(new DimResolver(sizes).shapeOf({ ...state, name: 'mel' })).toEqual([2, 8, 128]);
    const rate = generateFeeds([{ name: 'sr', type: 'int64', shape: [] }], { sizes });
    expect(rate.get('sr')?.data).toEqual(BigInt64Array.of(16_000n));
  });

  it('are the same every time, and stay in range', () => {
    const inputs = [
      ids('input_ids'),
      ids('attention_mask'),
      ids('position_ids'),
      ids('token_type_ids'),
      { name: 'x', type: 'float32', shape: ['batch', 4] } as const,
      { name: 'flag', type: 'bool', shape: [] } as const,
    ];
    const options = { sizes, vocabulary: new Map([['input_ids', 50]]) };
    const feeds = generateFeeds(inputs, options);
    expect(generateFeeds(inputs, options)).toEqual(feeds);
    const data = (name: string): number[] => [...(feeds.get(name)?.data ?? [])].map(Number);
    expect(Math.max(...data('input_ids'))).toBeLessThan(50);
    expect(new Set(data('input_ids')).size).toBeGreaterThan(5);
    expect(new Set(data('attention_mask'))).toEqual(new Set([1]));
    expect(data('position_ids').slice(0, 9)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 0]);
    expect(new Set(data('token_type_ids'))).toEqual(new Set([0]));
    expect(data('x').some((value) => value < 0)).toBe(true);
    expect(data('flag')).toEqual([1]);
  });

  it('refuse what cannot be made up, and what would be too large', () => {
    const of = (input: ValueInfo) => () => generateFeeds([input], { sizes });
    expect(of({ name: 's', type: 'string', shape: [1] })).toThrow(
      expect.objectContaining({ code: 'E_UNSUPPORTED' }),
    );
    expect(of({ name: 's', type: undefined, shape: undefined })).toThrow(
      expect.objectContaining({ code: 'E_UNSUPPORTED' }),
    );
    expect(of({ name: 'x', type: 'float32', shape: [1e6, 1e6] })).toThrow(
      expect.objectContaining({ code: 'E_LIMIT', details: expect.objectContaining({ limit: 'FEED_BYTES' }) }),
    );
  });

  it('have further guesses', () => {
    expect(new Set(ATTEMPTS.map((attempt) => JSON.stringify(attempt))).size).toBe(ATTEMPTS.length);
  });
});
