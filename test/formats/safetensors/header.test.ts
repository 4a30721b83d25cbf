import { describe, expect, it } from 'vitest';
import { DTYPE_PAIRS } from '../../../src/formats/safetensors/dtypes.js';
import { readHeader } from '../../../src/formats/safetensors/header.js';
import { memorySource } from '../../../src/io/memory.js';
import type { ByteSource } from '../../../src/io/source.js';
import { safetensorsBytes } from './build.js';

const header = (text: string, data: Uint8Array | number = 0, length?: bigint) =>
  readHeader(memorySource(safetensorsBytes(text, data, length), 'x.safetensors'));
const A = '"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}';
const entry = (fields: string): string => `{"a":{${fields}}}`;

describe('safetensors header', () => {
  it('reads entries in header order, by offsets, with metadata', async () => {
    const read = await header(
      `{"b":{"dtype":"U8","shape":[],"data_offsets":[24,25],"later":[{}]},${A},"__metadata__":{"10":"x","2":"y"}}   `,
      25,
    );
    expect(read.entries).toEqual([
      { name: 'b', dtype: 'u8', shape: [], begin: 24, end: 25 },
      { name: 'a', dtype: 'f32', shape: [2, 3], begin: 0, end: 24 },
    ]);
    expect([...read.metadata]).toEqual([
      ['10', 'x'],
      ['2', 'y'],
    ]);
    expect(read.findings).toEqual([]);
  });

  it.each(DTYPE_PAIRS)('knows %s', async (name, dtype) => {
    const bits = { F4: 4, F6_E2M3: 6, F6_E3M2: 6 }[name as string] ?? undefined;
    const { dtypeFacts } = await import('../../../src/core/dtype.js');
    expect(bits ?? dtypeFacts(dtype).bits).toBe(dtypeFacts(dtype).bits);
    const bytes = dtypeFacts(dtype).bits; // of 8 elements
    const read = await header(entry(`"dtype":"${name}","shape":[8],"data_offsets":[0,${bytes}]`), bytes);
    expect(read.entries[0]).toMatchObject({ dtype, begin: 0, end: bytes });
  });

  it('maps types one to one', () => {
    expect(new Set(DTYPE_PAIRS.map(([name]) => name)).size).toBe(22);
    expect(new Set(DTYPE_PAIRS.map(([, dtype]) => dtype)).size).toBe(22);
  });

  it('allows zero sizes whose other dimensions are large, left to right', async () => {
    const read = await header(
      entry('"dtype":"F32","shape":[0,1099511627776,1099511627776],"data_offsets":[0,0]'),
    );
    expect(read.entries[0]?.shape).toEqual([0, 2 ** 40, 2 ** 40]);
    await expect(
      header(entry('"dtype":"F32","shape":[1099511627776,1099511627776,0],"data_offsets":[0,0]')),
    ).rejects.toMatchObject({ code: 'E_MALFORMED' });
  });

  it.each([
    ['a leading space', ` {${A}}`, 'HEADER_LEADING_SPACE'],
    ['newline padding', `{${A}}\n\t`, 'HEADER_PADDING'],
    ['null metadata', `{"__metadata__":null,${A}}`, 'METADATA_NULL'],
    ['a metadata key twice', `{"__metadata__":{"k":"1","k":"2"},${A}}`, 'METADATA_DUPLICATE_KEY'],
    ['a control character in a name', `{${A.replace('"a"', '"a\\n\\u0007"')}}`, 'NAME_CONTROL_CHARACTERS'],
    ['a direction override in a name', `{${A.replace('"a"', '"a\u202e"')}}`, 'NAME_CONTROL_CHARACTERS'],
  ])('reads %s with one warning', async (_, text, code) => {
    const read = await header(text, 24);
    expect(read.entries).toHaveLength(1);
    expect(read.findings).toMatchObject([{ severity: 'warning', code }]);
  });

  it('keeps the last of two equal metadata keys', async () => {
    expect((await header('{"__metadata__":{"k":"1","k":"2"}}')).metadata.get('k')).toBe('2');
  });

  it.each([
    ['a tensor twice', `{${A},${A}}`, 24, /"a" is listed twice/],
    ['a tensor twice, once escaped', `{${A},${A.replace('"a"', '"\\u0061"')}}`, 24, /"a" is listed twice/],
    ['metadata twice', '{"__metadata__":{},"__metadata__":{}}', 0, /__metadata__ twice/],
    ['a field twice', entry('"dtype":"U8","dtype":"U8","shape":[],"data_offsets":[0,1]'), 1, /"dtype" twice/],
    ['metadata that is no string', '{"__metadata__":{"k":1}}', 0, /a number as metadata "k"/],
    ['metadata that is a list', '{"__metadata__":[]}', 0, /an object was needed/],
    ['an entry that is a list', '{"a":["F32",[],[0,4]]}', 4, /an object was needed.*tensor "a"/],
    [
      'an unknown type',
      entry('"dtype":"f32","shape":[],"data_offsets":[0,4]'),
      4,
      /unknown dtype "f32".*"a"/,
    ],
    ['no type', entry('"shape":[],"data_offsets":[0,4]'), 4, /lacks "dtype"/],
    ['no shape', entry('"dtype":"F32","data_offsets":[0,4]'), 4, /lacks "shape"/],
    ['no offsets', entry('"dtype":"F32","shape":[]'), 4, /lacks "data_offsets"/],
    ['one offset', entry('"dtype":"F32","shape":[],"data_offsets":[0]'), 4, /1 of the two/],
    ['three offsets', entry('"dtype":"F32","shape":[],"data_offsets":[0,4,4]'), 4, /more than two/],
    [
      'a negative dimension',
      entry('"dtype":"F32","shape":[-1],"data_offsets":[0,4]'),
      4,
      /-1 for a dimension/,
    ],
    ['a fraction', entry('"dtype":"F32","shape":[1.0],"data_offsets":[0,4]'), 4, /1\.0 for a dimension/],
    [
      'a wrong size',
      entry('"dtype":"F32","shape":[2],"data_offsets":[0,4]'),
      4,
      /has 4 bytes, but f32 \[2\] needs 8/,
    ],
    ['half a byte', entry('"dtype":"F4","shape":[3],"data_offsets":[0,2]'), 2, /12 bits/],
    [
      'an end before the begin',
      entry('"dtype":"F32","shape":[],"data_offsets":[4,0]'),
      4,
      /ends \(0\) before/,
    ],
    [
      'a hole before',
      entry('"dtype":"F32","shape":[],"data_offsets":[4,8]'),
      8,
      /leaves a hole after the header/,
    ],
    ['bytes after the end', `{${A}}`, 25, /last 1 bytes belong to no tensor/],
    [
      'an overlap',
      `{${A},"b":{"dtype":"F32","shape":[2],"data_offsets":[20,28]}}`,
      28,
      /"b" overlaps tensor "a"/,
    ],
    [
      'an offset past 2^53, exactly',
      entry('"dtype":"U8","shape":[9007199254740993],"data_offsets":[0,9007199254740993]'),
      4,
      /9007199254740993/,
    ],
    [
      'a product that doubles cannot tell',
      entry('"dtype":"U8","shape":[3,3002399751580331],"data_offsets":[0,9007199254740992]'),
      4,
      /needs 9007199254740993/,
    ],
    [
      'a product that wraps',
      entry('"dtype":"U8","shape":[9223372036854775808,2,24],"data_offsets":[0,24]'),
      24,
      /passes 64 bits/,
    ],
    ['NUL padding', `{${A}}\0`, 24, /where the end was needed/],
    ['deep nesting', entry(`"x":${'['.repeat(1000)}`), 0, /JSON_DEPTH/],
  ])('refuses %s', async (_, text, data, message) => {
    await expect(header(text, data)).rejects.toThrow(message);
    await expect(header(text, data)).rejects.toMatchObject({ name: 'MlserError' });
  });

  it.each([
    ['too short for a length', Buffer.alloc(7), 'E_TRUNCATED'],
    ['a length of 0', Buffer.alloc(64), 'E_MALFORMED'],
    ['a header that is cut off', safetensorsBytes(`{${A}}`, 0, 1000n), 'E_TRUNCATED'],
    ['a length of 2^63', safetensorsBytes(`{${A}}`, 24, 1n << 63n), 'E_MALFORMED'],
    ['a length of 2^64 - 1', safetensorsBytes(`{${A}}`, 24, (1n << 64n) - 1n), 'E_MALFORMED'],
    ['data that is cut off', safetensorsBytes(`{${A}}`, 23), 'E_TRUNCATED'],
  ])('refuses %s', async (_, bytes, code) => {
    await expect(readHeader(memorySource(bytes, 'x'))).rejects.toMatchObject({ code });
  });

  it('names the limit for a header that is there but too long, without reading it', async () => {
    const reads: number[] = [];
    const source: ByteSource = {
      name: 'x',
      size: 200_000_000,
      async read(_, length) {
        reads.push(length);
        return safetensorsBytes('', 0, 100_000_001n);
      },
    };
    await expect(readHeader(source)).rejects.toMatchObject({ code: 'E_LIMIT' });
    expect(reads).toEqual([8]);
  });

  it('takes two reads', async () => {
    const memory = memorySource(safetensorsBytes(`{${A}}`, 24), 'x');
    const reads: number[][] = [];
    await readHeader({
      ...memory,
      read(offset, length) {
        reads.push([offset, length]);
        return memory.read(offset, length);
      },
    });
    expect(reads).toEqual([
      [0, 8],
      [8, A.length + 2],
    ]);
  });

  it('reads 100,000 tensors in a few hundred milliseconds', async () => {
    const names = Array.from(
      { length: 100_000 },
      (_, i) => `"layer.${i}":{"dtype":"F16","shape":[1,2],"data_offsets":[${i * 4},${i * 4 + 4}]}`,
    );
    const bytes = safetensorsBytes(`{${names.join(',')}}`, 400_000);
    const started = performance.now();
    expect((await readHeader(memorySource(bytes, 'x'))).entries).toHaveLength(100_000);
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});
