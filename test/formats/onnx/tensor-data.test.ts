import { describe, expect, it } from 'vitest';
import { readTensor } from '../../../src/core/tensor.js';
import { readBytes, refusal, tensorBytes } from './read.js';
import { bytes, fixed32, initializer, int, len, model, packed, text, varint } from './wire.js';

/** Data types by number (TensorProto.DataType). */
const read = async (
  type: number,
  dims: readonly number[],
  ...data: readonly Uint8Array[]
): Promise<number[]> => tensorBytes(await readBytes(model([initializer('w', type, dims, ...data)])), 'w');
const fails = (type: number, dims: readonly number[], ...data: readonly Uint8Array[]) =>
  refusal(read(type, dims, ...data));
const [FLOAT_DATA, INT32, STRING, INT64, RAW, DOUBLE, UINT64] = [4, 5, 6, 7, 9, 10, 11];
const le = (width: 2 | 4 | 8, ...values: readonly (number | bigint)[]): number[] =>
  values.flatMap((value) => {
    const out = new DataView(new ArrayBuffer(8));
    out.setBigInt64(0, BigInt.asIntN(64, BigInt(value)), true);
    return [...new Uint8Array(out.buffer, 0, width)];
  });
const f32 = (...values: readonly number[]): number[] => [...new Uint8Array(Float32Array.from(values).buffer)];

describe('typed data in canonical form', () => {
  const cases: readonly [string, number, number[], Uint8Array[], number[]][] = [
    ['FLOAT', 1, [2], [len(FLOAT_DATA, f32(1.5, -0))], f32(1.5, -0)],
    [
      'FLOAT in pieces',
      1,
      [4],
      [len(FLOAT_DATA, f32(1)), fixed32(4, 2), fixed32(4, 3), len(FLOAT_DATA, f32(4))],
      f32(1, 2, 3, 4),
    ],
    ['UINT8', 2, [2], [packed(INT32, [0, 255])], [0, 255]],
    ['INT8', 3, [2], [packed(INT32, [-128, 127])], [128, 127]],
    ['UINT16', 4, [1], [packed(INT32, [65535])], le(2, 65535)],
    ['INT16', 5, [2], [packed(INT32, [-1, 300])], le(2, -1, 300)],
    ['INT32', 6, [2], [int(INT32, -5), packed(INT32, [2 ** 31 - 1])], le(4, -5, 2 ** 31 - 1)],
    [
      'INT64',
      7,
      [3],
      [packed(INT64, [-1, 2n ** 53n + 1n, -(2n ** 63n)])],
      le(8, -1, 2n ** 53n + 1n, -(2n ** 63n)),
    ],
    ['INT64 unpacked', 7, [2], [int(INT64, 1), int(INT64, -2)], le(8, 1, -2)],
    ['BOOL', 9, [3], [packed(INT32, [0, 1, 1])], [0, 1, 1]],
    ['FLOAT16', 10, [2], [packed(INT32, [0x3c00, 0xbc00])], le(2, 0x3c00, 0xbc00)],
    ['FLOAT16 sign-extended', 10, [1], [packed(INT32, [0xbc00 - 0x10000])], le(2, 0xbc00)],
    [
      'DOUBLE',
      11,
      [1],
      [len(DOUBLE, [...new Uint8Array(Float64Array.of(0.1).buffer)])],
      [...new Uint8Array(Float64Array.of(0.1).buffer)],
    ],
    ['UINT32', 12, [1], [packed(UINT64, [2 ** 32 - 1])], le(4, 2 ** 32 - 1)],
    ['UINT64', 13, [1], [packed(UINT64, [2n ** 64n - 1n])], le(8, 2n ** 64n - 1n)],
    ['COMPLEX64', 14, [1], [len(FLOAT_DATA, f32(1, 2))], f32(1, 2)],
    ['BFLOAT16', 16, [1], [packed(INT32, [0x3f80])], le(2, 0x3f80)],
    ['FLOAT8E4M3FN', 17, [2], [packed(INT32, [0x38, 0xb8])], [0x38, 0xb8]],
    ['UINT4, two an entry', 21, [3], [packed(INT32, [0x21, 0x03])], [0x21, 0x03]],
    ['INT4, two an entry', 22, [2], [packed(INT32, [0x8f])], [0x8f]],
    ['UINT2, four an entry', 25, [5], [packed(INT32, [0xe4, 0x01])], [0xe4, 0x01]],
    // 6-bit elements: one an entry, packed from the low bits up: 1, 2, 3, 4, 5.
    ['FLOAT6E2M3', 27, [5], [packed(INT32, [1, 2, 3, 4, 5])], [0x81, 0x30, 0x10, 0x05]],
    ['STRING', 8, [2], [text(STRING, 'aé'), text(STRING, '')], [3, 0, 0, 0, 0x61, 0xc3, 0xa9, 0, 0, 0, 0]],
    ['zero size without a field', 1, [0, 3], [], []],
    ['zero size with empty raw_data', 1, [3, 0], [len(RAW)], []],
    ['a scalar', 6, [], [packed(INT32, [7])], le(4, 7)],
    ['raw_data twice: the last', 2, [2], [len(RAW, [1, 2]), len(RAW, [3, 4])], [3, 4]],
  ];
  it.each(cases)('%s', async (_, type, dims, data, want) => {
    expect(await read(type, dims, ...data)).toEqual(want);
  });

  it('streams more than it decodes at once, in parts too', async () => {
    const count = 300_000;
    const values = Array.from({ length: count }, (_, i) => BigInt(i) * 7919n - 1_000_000_000n);
    const opened = await readBytes(model([initializer('w', 7, [count], packed(INT64, values))]));
    const [tensor] = opened.tensors;
    const all = await readTensor(tensor!);
    const view = new DataView(all.buffer);
    expect(values.every((value, i) => view.getBigInt64(i * 8, true) === value)).toBe(true);
    const some: number[] = [];
    for await (const chunk of tensor!.stream({ start: 1_500_000, end: 1_500_016 })) some.push(...chunk);
    expect(some).toEqual([...all.subarray(1_500_000, 1_500_016)]);
  });

  it('makes raw_data and packed floats ranges of the file', async () => {
    const opened = await readBytes(
      model([
        initializer('raw', 1, [512], len(RAW, new Uint8Array(2048))),
        initializer('typed', 1, [1], len(FLOAT_DATA, f32(1))),
      ]),
    );
    expect(opened.tensors.every(({ location }) => location?.file === 'm.onnx')).toBe(true);
  });
});

describe('refusals', () => {
  const cases: readonly [string, number, number[], Uint8Array[], RegExp][] = [
    ['no data', 1, [3], [], /has no data/],
    [
      'two data fields',
      1,
      [1],
      [len(FLOAT_DATA, f32(1)), packed(INT64, [1])],
      /several data fields: float_data, int64_data/,
    ],
    ['the wrong field', 1, [1], [packed(INT64, [1])], /FLOAT belongs in float_data or raw_data/],
    ['raw strings', 8, [1], [len(RAW, [1])], /STRING belongs in string_data/],
    ['data without elements', 1, [0], [len(RAW, [1, 2, 3, 4])], /has no elements but has raw_data/],
    ['raw_data too long', 1, [1], [len(RAW, [1, 2, 3, 4, 5])], /needs 4 bytes, raw_data has 5/],
    ['too few entries', 7, [3], [packed(INT64, [1000, 2])], /has 2 entries, the shape needs 3/],
    [
      'a shape that the bytes cannot fill',
      7,
      [2 ** 40],
      [packed(INT64, [1, 2])],
      /cannot hold 1099511627776/,
    ],
    ['too many entries', 7, [1], [packed(INT64, [1, 2])], /more than the 1 entries/],
    ['a value out of range', 3, [1], [packed(INT32, [300])], /holds 300, which does not fit i8/],
    ['a u32 out of range', 12, [1], [packed(UINT64, [2n ** 32n])], /4294967296, which does not fit u32/],
    ['too few strings', 8, [3], [text(STRING, 'a')], /has 1 strings, the shape needs 3/],
    ['a negative dimension', 1, [-1], [len(RAW)], /dimension -1/],
    ['an overflowing shape', 1, [2 ** 32, 2 ** 32], [len(RAW)], /overflows/],
    ['type 0', 0, [1], [len(RAW, [1])], /UNDEFINED/],
    ['a type of the future', 77, [1], [len(RAW, [1])], /data_type 77/],
  ];
  it.each(cases)('%s', async (_, type, dims, data, message) => {
    const error = await fails(type, dims, ...data);
    expect(error.message).toMatch(message);
    expect(error.message).toContain('"w"');
  });

  it('says when a large packed field was cut inside a varint', async () => {
    const body = bytes(Buffer.concat(Array.from({ length: 40_000 }, () => varint(300))), [0x80]);
    expect((await fails(7, [40_001], len(INT64, body))).message).toContain('ends inside a varint');
  });

  it('finds the fault in a large field when it is pulled', async () => {
    const opened = await readBytes(
      model([initializer('w', 7, [99_000], packed(INT64, new Array<number>(100_000).fill(1)))]),
    );
    expect((await refusal(readTensor(opened.tensors[0]!))).message).toContain('more than the 99000 entries');
  });
});
