import { describe, expect, it } from 'vitest';
import { DTYPES, type DType } from '../../src/core/dtype.js';
import { memoryTensor, readTensor } from '../../src/core/tensor.js';
import { canCast, castTensor } from '../../src/kernels/cast.js';
import { converter, throughDoubles } from '../../src/kernels/convert.js';
import { encodeElements, isNumeric, packedBytes, valuesOfCodes } from '../../src/kernels/elements.js';
import { unpackCodes } from '../../src/kernels/packing.js';
import { overflowOf, saturatedCast } from '../../src/kernels/saturate.js';
import { goldenArrays } from './npz.js';
import { bytesOf, floats } from './samples.js';

const golden = (name: string): Map<string, Uint8Array> =>
  goldenArrays(new URL(`../../fixtures/numerics/casts/${name}.npz`, import.meta.url));

/** What each type is equal to, bit for bit but for the payload of NaN. */
const REFERENCE: readonly (readonly [DType, string])[] = [
  ['f16', 'torch.float16'],
  ['f16', 'numpy.float16'],
  ['f16', 'onnxruntime.Cast.float16'],
  ['bf16', 'torch.bfloat16'],
  ['bf16', 'ml_dtypes.bfloat16'],
  ['bf16', 'onnxruntime.Cast.bfloat16'],
  ['f8_e4m3fn', 'torch.float8_e4m3fn'],
  ['f8_e4m3fn', 'onnxruntime.Cast.float8_e4m3fn.saturate1'],
  ['f8_e5m2', 'torch.float8_e5m2'],
  ['f8_e5m2', 'ml_dtypes.float8_e5m2'],
  ['f8_e4m3fnuz', 'torch.float8_e4m3fnuz'],
  ['f8_e5m2fnuz', 'torch.float8_e5m2fnuz'],
  ['f8_e8m0', 'ml_dtypes.float8_e8m0fnu'],
  ['f6_e2m3', 'ml_dtypes.float6_e2m3fn'],
  ['f6_e3m2', 'ml_dtypes.float6_e3m2fn'],
  ['f4_e2m1', 'ml_dtypes.float4_e2m1fn'],
];

const cast = (from: DType, to: DType, bytes: Uint8Array, count: number): Promise<Uint8Array> =>
  readTensor(castTensor(memoryTensor({ name: 'x', dtype: from, shape: [count] }, bytes), to));

/** Codes as numbers, sub-byte ones unpacked. */
function codes(dtype: DType, bytes: Uint8Array, count: number): number[] {
  if (packedBytes(dtype, 8) === 16) return [...new Uint16Array(bytes.slice().buffer, 0, count)];
  if (packedBytes(dtype, 8) === 8) return [...bytes];
  const out = new Uint8Array(count);
  unpackCodes(bytes, packedBytes(dtype, 8) as 2 | 4 | 6, count, out);
  return [...out];
}

function mismatches(
  dtype: DType,
  found: number[],
  expected: number[],
  isNaNInput: (i: number) => boolean,
): string[] {
  const values = valuesOfCodes(dtype);
  return found.flatMap((code, i) => {
    if (code === expected[i]) return [];
    if (isNaNInput(i) && (Number.isNaN(values[code]) || !values.some(Number.isNaN))) return [];
    return [`${i}: ${code}, not ${expected[i]}`];
  });
}

describe('casts equal the reference libraries', () => {
  const f32 = golden('special_f32');
  const input = f32.get('input_f32_bits')!;
  const numbers = new Float32Array(input.slice().buffer);

  it.each(REFERENCE)('f32 to %s as %s', async (dtype, library) => {
    const found = codes(dtype, await cast('f32', dtype, input, numbers.length), numbers.length);
    const bytes = f32.get(library)!;
    const expected = packedBytes(dtype, 8) === 16 ? [...new Uint16Array(bytes.slice().buffer)] : [...bytes];
    expect(mismatches(dtype, found, expected, (i) => Number.isNaN(numbers[i]))).toEqual([]);
  });

  it('f32 to f8_e5m2, saturated, as onnxruntime.Cast.float8_e5m2.saturate1', async () => {
    const tensor = memoryTensor({ name: 'x', dtype: 'f32', shape: [numbers.length] }, input);
    const expected = [...f32.get('onnxruntime.Cast.float8_e5m2.saturate1')!];
    const found = [...(await readTensor(saturatedCast(tensor, 'f8_e5m2')))];
    expect(mismatches('f8_e5m2', found, expected, (i) => Number.isNaN(numbers[i]))).toEqual([]);
  });

  it.each([
    ['f16', 'onnxruntime.Cast.float16', 0x7c00],
    ['bf16', 'onnxruntime.Cast.bfloat16', 0x7f80],
  ] as const)('f32 to %s, saturated, as %s where that is finite', async (dtype, library, infinity) => {
    const tensor = memoryTensor({ name: 'x', dtype: 'f32', shape: [numbers.length] }, input);
    const expected = [...new Uint16Array(f32.get(library)!.slice().buffer)].map((code) =>
      (code & 0x7fff) === infinity ? code - 1 : code,
    );
    const found = codes(dtype, await readTensor(saturatedCast(tensor, dtype)), numbers.length);
    expect(mismatches(dtype, found, expected, (i) => Number.isNaN(numbers[i]))).toEqual([]);
    // The limit is where infinity begins.
    const at = overflowOf(dtype);
    numbers.forEach((x, i) => {
      const isInfinite = (new Uint16Array(f32.get(library)!.slice().buffer)[i]! & 0x7fff) === infinity;
      if (!Number.isNaN(x)) expect([x, isInfinite]).toEqual([x, Math.abs(x) >= at]);
    });
  });

  const f64 = golden('special_f64');
  const wideInput = f64.get('input_f64_bits')!;
  const doubles = new Float64Array(wideInput.slice().buffer);

  it.each([
    ['f16', 'numpy.float16'],
    ['bf16', 'torch.bfloat16'],
    ['f8_e5m2', 'torch.float8_e5m2'],
  ] as const)('f64 to %s as %s (rounded once)', async (dtype, library) => {
    const found = codes(dtype, await cast('f64', dtype, wideInput, doubles.length), doubles.length);
    const bytes = f64.get(library)!;
    const expected = packedBytes(dtype, 8) === 16 ? [...new Uint16Array(bytes.slice().buffer)] : [...bytes];
    // torch and ml_dtypes go by way of f32 for bf16 and fp8: what differs must be a double rounding of theirs.
    const twice = codes(
      dtype,
      await cast('f32', dtype, await cast('f64', 'f32', wideInput, doubles.length), doubles.length),
      doubles.length,
    );
    const single =
      dtype === 'f16' ? found : found.map((code, i) => (twice[i] === expected[i] ? expected[i]! : code));
    expect(mismatches(dtype, single, expected, (i) => Number.isNaN(doubles[i]))).toEqual([]);
  });

  it('f64 to f32 as torch', async () => {
    const found = new Uint32Array((await cast('f64', 'f32', wideInput, doubles.length)).buffer);
    const expected = new Uint32Array(f64.get('torch.float32')!.slice().buffer);
    for (let i = 0; i < doubles.length; i++)
      if (!Number.isNaN(doubles[i])) expect(found[i]).toBe(expected[i]);
  });

  const widen = golden('widen');
  it.each([
    ['f16', 'numpy.float16'],
    ['bf16', 'ml_dtypes.bfloat16'],
    ['f8_e4m3fn', 'torch.float8_e4m3fn'],
    ['f8_e5m2', 'torch.float8_e5m2'],
    ['f8_e4m3fnuz', 'torch.float8_e4m3fnuz'],
    ['f8_e5m2fnuz', 'torch.float8_e5m2fnuz'],
    ['f8_e8m0', 'torch.float8_e8m0fnu'],
    ['f6_e2m3', 'ml_dtypes.float6_e2m3fn'],
    ['f6_e3m2', 'ml_dtypes.float6_e3m2fn'],
    ['f4_e2m1', 'ml_dtypes.float4_e2m1fn'],
  ] as const)('every code of %s to f32 as %s', async (dtype, library) => {
    const expected = new Uint32Array(widen.get(library)!.slice().buffer);
    const count = expected.length;
    const all = new Uint8Array(packedBytes(dtype, count));
    encodeCodes(dtype, all, count);
    const found = new Uint32Array((await cast(dtype, 'f32', all, count)).buffer);
    if (dtype === 'f16' || dtype === 'bf16')
      expect(Buffer.compare(bytesOf(found), bytesOf(expected))).toBe(0);
    const asNumber = (bits: Uint32Array): number[] => [
      ...new Float32Array(bits.buffer, bits.byteOffset, count),
    ];
    const asNumbers = asNumber(expected);
    expect(asNumber(found).filter((value, i) => !Object.is(value, asNumbers[i]))).toEqual([]);
    // And back: every code that is no NaN returns.
    const back = codes(dtype, await cast('f32', dtype, bytesOf(found), count), count);
    const values = valuesOfCodes(dtype);
    for (let code = 0; code < count; code++) if (!Number.isNaN(values[code])) expect(back[code]).toBe(code);
  });

  function encodeCodes(dtype: DType, out: Uint8Array, count: number): void {
    const bits = packedBytes(dtype, 8);
    for (let code = 0; code < count; code++)
      for (let bit = 0; bit < bits; bit++) {
        const at = code * bits + bit;
        out[at >> 3] = out[at >> 3]! | (((code >> bit) & 1) << (at & 7));
      }
  }
});

describe('integers and booleans', () => {
  const one = async (from: DType, to: DType, values: ArrayBufferView): Promise<ArrayBuffer> => {
    const bytes = bytesOf(values);
    const count = (bytes.length * 8) / packedBytes(from, 8);
    return (await cast(from, to, bytes, count)).slice().buffer as ArrayBuffer;
  };

  it('floats go towards zero and saturate, NaN is 0', async () => {
    const input = Float32Array.of(1.9, -1.9, 300, -300, NaN, Infinity, -Infinity, 0.5);
    expect([...new Int8Array(await one('f32', 'i8', input))]).toEqual([1, -1, 127, -128, 0, 127, -128, 0]);
    expect([...new Uint8Array(await one('f32', 'u8', input))]).toEqual([1, 0, 255, 0, 0, 255, 0, 0]);
    expect([...new Int32Array(await one('f64', 'i32', Float64Array.of(3e9, -3e9, 7.99)))]).toEqual([
      2147483647, -2147483648, 7,
    ]);
    expect([
      ...new BigInt64Array(
        await one('f64', 'i64', Float64Array.of(1e30, -1e30, 2 ** 53, -3.5, 2 ** 62, NaN)),
      ),
    ]).toEqual([2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n, -3n, 2n ** 62n, 0n]);
    expect([...new BigUint64Array(await one('f64', 'u64', Float64Array.of(1e30, -5, 2 ** 63, 12)))]).toEqual([
      2n ** 64n - 1n,
      0n,
      2n ** 63n,
      12n,
    ]);
  });

  it('integers between each other are exact or saturate', async () => {
    const big = BigInt64Array.of(2n ** 63n - 1n, -(2n ** 63n), 9007199254740993n, -1n);
    expect([...new BigUint64Array(await one('i64', 'u64', big))]).toEqual([
      2n ** 63n - 1n,
      0n,
      9007199254740993n,
      0n,
    ]);
    expect([...new Int32Array(await one('i64', 'i32', big))]).toEqual([
      2147483647, -2147483648, 2147483647, -1,
    ]);
    const unsigned = BigUint64Array.of(2n ** 64n - 1n, 5n);
    expect([...new BigInt64Array(await one('u64', 'i64', unsigned))]).toEqual([2n ** 63n - 1n, 5n]);
    expect([...new Uint8Array(await one('i16', 'u4', Int16Array.of(3, 20, -4, 15)))]).toEqual([0xf3, 0xf0]);
    expect([...new Uint8Array(await one('i8', 'i4', Int8Array.of(-8, 7, -9, -1)))]).toEqual([0x78, 0xf8]);
  });

  it('64-bit integers are rounded once on the way to floats', async () => {
    // Just above a tie of f32 (and of bf16): by way of a double it would become the tie and go down.
    const above = BigInt64Array.of((1n << 62n) + (1n << 38n) + 1n, -((1n << 62n) + (1n << 38n) + 1n));
    const up = 2 ** 62 + 2 ** 39;
    expect([...new Float32Array(await one('i64', 'f32', above))]).toEqual([up, -up]);
    expect([...new Float64Array(await one('u64', 'f64', BigUint64Array.of(2n ** 64n - 1n)))]).toEqual([
      2 ** 64,
    ]);
    const tie = BigUint64Array.of((1n << 63n) + (1n << 55n) + 1n);
    expect([...new Uint16Array(await one('u64', 'bf16', tie))]).toEqual([0x5f01]);
  });

  it('booleans are 0 or 1', async () => {
    expect([...new Uint8Array(await one('f32', 'bool', Float32Array.of(0, -0, 0.1, NaN)))]).toEqual([
      0, 0, 1, 1,
    ]);
    expect([...new Float32Array(await one('bool', 'f32', Uint8Array.of(0, 1, 7)))]).toEqual([0, 1, 1]);
  });

  it('f8_e8m0 has no zero and no sign: they become NaN', async () => {
    const input = Float32Array.of(0, -1, 1, 3, 2 ** -127, Infinity);
    expect([...new Uint8Array(await one('f32', 'f8_e8m0', input))]).toEqual([255, 255, 127, 129, 0, 255]);
  });
});

describe('every pair of numeric types', () => {
  const numeric = DTYPES.filter(isNumeric);
  const values = Float64Array.of(0, 1, 2, 0, 1, 3, 1, 2, 0, 1, 1);

  it.each(numeric)(
    '%s to all others carries small numbers, and the short ways equal the long way',
    async (from) => {
      const source = new Uint8Array(packedBytes(from, values.length));
      encodeElements(from, values, values.length, source);
      for (const to of numeric) {
        const plain = new Uint8Array(packedBytes(to, values.length));
        throughDoubles(from, to)(source, plain, values.length);
        expect(await cast(from, to, source, values.length)).toEqual(from === to ? source : plain);
      }
    },
  );

  it.each(numeric.filter((dtype) => packedBytes(dtype, 8) <= 8))(
    'f32 to %s by table equals the plain way',
    (to) => {
      for (const kind of ['bits', 'edges', 'weights'] as const) {
        const input = floats(kind, 5000);
        const count = input.length;
        const [short, long] = [
          new Uint8Array(packedBytes(to, count)),
          new Uint8Array(packedBytes(to, count)),
        ];
        converter('f32', to)(bytesOf(input), short, count);
        throughDoubles('f32', to)(bytesOf(input), long, count);
        expect(Buffer.compare(short, long)).toBe(0);
      }
    },
  );
});

describe('castTensor', () => {
  const count = 300_001;
  const base = memoryTensor({ name: 'w', dtype: 'f32', shape: [count] }, bytesOf(floats('weights', count)));
  const pieces = {
    ...base,
    async *stream(range = { start: 0, end: base.byteLength }) {
      for (let at = range.start; at < range.end; at += 10_004)
        yield* base.stream({ start: at, end: Math.min(range.end, at + 10_004) });
    },
  };

  it.each(['bf16', 'f64', 'f8_e4m3fn', 'f6_e3m2', 'f4_e2m1', 'i8'] as const)(
    'streams any range of %s',
    async (to) => {
      const tensor = castTensor(pieces, to);
      const whole = await readTensor(tensor);
      expect(whole.length).toBe(tensor.byteLength);
      const unit = { bf16: 2, f64: 8, f8_e4m3fn: 1, f6_e3m2: 3, f4_e2m1: 1, i8: 1 }[to];
      for (const [a, b] of [
        [0, 5],
        [7, 4000],
        [50_001, 90_000],
        [33, 33],
      ] as const) {
        const range = { start: a * unit, end: b * unit };
        const parts: Uint8Array[] = [];
        for await (const chunk of tensor.stream(range)) parts.push(chunk);
        expect(Buffer.compare(Buffer.concat(parts), whole.subarray(range.start, range.end))).toBe(0);
      }
      const tail: Uint8Array[] = [];
      const start = Math.floor((whole.length - 100) / unit) * unit;
      for await (const chunk of tensor.stream({ start, end: whole.length })) tail.push(chunk);
      expect(Buffer.concat(tail)).toEqual(Buffer.from(whole.subarray(start)));
    },
  );

  it('widens sub-byte types from streams that end anywhere', async () => {
    const packed = castTensor(base, 'f6_e2m3');
    const bytes = await readTensor(packed);
    const uneven = {
      ...packed,
      async *stream() {
        for (let at = 0; at < bytes.length; at += 1001) yield bytes.slice(at, at + 1001);
      },
    };
    const wide = await readTensor(castTensor(uneven, 'f32'));
    const expected = new Float32Array(count);
    converter('f6_e2m3', 'f32')(bytes, bytesOf(expected), count);
    expect(Buffer.compare(wide, bytesOf(expected))).toBe(0);
  });

  it('carries the recipe on, and refuses what has no numbers', () => {
    const recipe = { path: '/x', offset: 8, length: count * 4, ops: [] };
    expect(castTensor({ ...base, recipe }, 'f16').recipe).toEqual({
      ...recipe,
      ops: [{ op: 'cast', from: 'f32', to: 'f16' }],
    });
    expect(canCast('c64', 'f32')).toBe(false);
    expect(canCast('q8_0', 'q8_0')).toBe(true);
    const blocks = memoryTensor({ name: 'q', dtype: 'q8_0', shape: [32] }, new Uint8Array(34));
    expect(() => castTensor(blocks, 'f32')).toThrow(expect.objectContaining({ code: 'E_UNSUPPORTED' }));
  });

  it('handles empty tensors and scalars', async () => {
    const empty = memoryTensor({ name: 'e', dtype: 'f32', shape: [0, 4] }, new Uint8Array(0));
    expect(await readTensor(castTensor(empty, 'bf16'))).toEqual(new Uint8Array(0));
    const scalar = memoryTensor({ name: 's', dtype: 'f32', shape: [] }, bytesOf(Float32Array.of(1)));
    expect(await readTensor(castTensor(scalar, 'bf16'))).toEqual(Uint8Array.of(0x80, 0x3f));
  });
});
