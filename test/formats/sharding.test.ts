import { describe, expect, it } from 'vitest';
import { formatShardIndex, readShardIndex, sniffShardIndex } from '../../src/formats/shard-index.js';
import { indexName, planShards, shardName, withoutIndexSuffix } from '../../src/formats/sharding.js';
import type { InputFiles } from '../../src/io/files.js';
import { memorySource } from '../../src/io/memory.js';

const sizes = (bytes: number[], max: number): number[][] =>
  planShards(
    bytes.map((byteLength) => ({ byteLength })),
    max,
  ).map((shard) => shard.map((t) => t.byteLength));

describe('the greedy shard rule', () => {
  it('closes a shard when the next tensor would pass the limit', () => {
    expect(sizes([4, 4, 4, 2, 8], 8)).toEqual([[4, 4], [4, 2], [8]]);
    expect(sizes([4, 4], 8)).toEqual([[4, 4]]);
  });
  it('gives a tensor above the limit its own shard at once and keeps the open one open', () => {
    expect(sizes([3, 20, 4, 2], 8)).toEqual([[20], [3, 4], [2]]);
    expect(sizes([20, 20], 8)).toEqual([[20], [20]]);
  });
  it('keeps empty models and empty tensors', () => {
    expect(sizes([], 8)).toEqual([[]]);
    expect(sizes([0, 8, 0], 8)).toEqual([[0, 8, 0]]);
  });
  it.each([0, -1, 1.5, Number.NaN])('refuses a shard size of %s', (max) => {
    expect(() => sizes([1], max)).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
  });
  it('names shards and their index as the Hub does', () => {
    expect(shardName('model.safetensors', '.safetensors', 0, 12)).toBe('model-00001-of-00012.safetensors');
    expect(shardName('pytorch_model.bin', '.bin', 11, 12)).toBe('pytorch_model-00012-of-00012.bin');
    expect(indexName('model.safetensors')).toBe('model.safetensors.index.json');
    expect(withoutIndexSuffix('model.safetensors.index.json')).toBe('model.safetensors');
  });
});

const files = (text: string): InputFiles => ({
  main: 'm.index.json',
  label: 'm.index.json',
  open: async () => memorySource(Buffer.from(text), 'm.index.json'),
  has: async () => true,
  list: async () => [],
  opened: () => [],
  assertUnchanged: async () => {},
  close: async () => {},
});
const read = (text: string) => readShardIndex(files(text), '.safetensors');

describe('the index of a sharded model', () => {
  it('comes back as it was written', async () => {
    const text = formatShardIndex(
      new Map([['note', 'é😀"\u007f']]),
      12,
      new Map([
        ['10', 'b.safetensors'],
        ['2', 'a.safetensors'],
        ['__proto__', 'a.safetensors'],
      ]),
    );
    expect(Buffer.from(text).every((byte) => byte < 0x7f)).toBe(true);
    const index = await read(Buffer.from(text).toString());
    expect([...index.shards].map(([shard, names]) => [shard, [...names]])).toEqual([
      ['a.safetensors', ['2', '__proto__']],
      ['b.safetensors', ['10']],
    ]);
    expect([...index.metadata]).toEqual([['note', 'é😀"\u007f']]);
    expect(index.totalSize).toBe(12);
  });

  it.each([
    ['[]', 'E_MALFORMED'],
    ['{}', 'E_MALFORMED'],
    ['{"weight_map":[]}', 'E_MALFORMED'],
    ['{"weight_map":{"a":1}}', 'E_MALFORMED'],
    ['{"weight_map":{"a":"x.bin"}}', 'E_MALFORMED'],
    ['{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}', 'E_MALFORMED'],
    ['{"weight_map":{},"metadata":1}', 'E_MALFORMED'],
    ['{"weight_map":{"a":"../x.safetensors"}}', 'E_UNSAFE'],
    ['{"weight_map":{"a":"..\\\\x.safetensors"}}', 'E_UNSAFE'],
    ['{"weight_map":{"a":"/etc/x.safetensors"}}', 'E_UNSAFE'],
    ['{"weight_map":{"a":"C:x.safetensors"}}', 'E_UNSAFE'],
    ['{"weight_map":{"a":"\\\\\\\\host\\\\x.safetensors"}}', 'E_UNSAFE'],
    ['{"weight_map":{"a":"x\\u0000.safetensors"}}', 'E_UNSAFE'],
    [' '.repeat(10 * 1024 * 1024 + 1), 'E_LIMIT'],
  ])('is refused: %.60s', async (text, code) => {
    await expect(read(text)).rejects.toMatchObject({ code });
  });

  it('is told by its name before its content', () => {
    const pickled = Buffer.from('{"weight_map": {"a": "x.bin"}}');
    expect(sniffShardIndex(pickled, 'model.safetensors.index.json')).toBe('.safetensors');
    expect(sniffShardIndex(pickled, 'other.index.json')).toBe('.bin');
    expect(sniffShardIndex(pickled, 'config.json')).toBeUndefined();
  });
});
