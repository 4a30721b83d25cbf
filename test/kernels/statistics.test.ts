import * as fs from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { DType } from '../../src/core/dtype.js';
import { NO_PROGRESS, type WorkContext } from '../../src/core/format.js';
import { memoryTensor, type TensorSource } from '../../src/core/tensor.js';
import { castTensor } from '../../src/kernels/cast.js';
import { statTensors } from '../../src/kernels/statistics.js';
import { bytesOf, floats, random } from './samples.js';

const context: WorkContext = { threads: 1, maxMemory: 1e9, progress: NO_PROGRESS };
const tensor = (dtype: DType, bytes: Uint8Array, count: number): TensorSource =>
  memoryTensor({ name: dtype, dtype, shape: [count] }, bytes);

interface Reference {
  readonly name: string;
  readonly dtype: string;
  readonly numel: number;
  readonly zeros: number;
  readonly nan: number;
  readonly inf: number;
  readonly min: number | string;
  readonly max: number | string;
  readonly mean: number;
  readonly std_population: number | string;
}

const TYPES: Readonly<Record<string, DType>> = {
  ...{ float64: 'f64', float32: 'f32', float16: 'f16', bfloat16: 'bf16' },
  ...{ float8_e4m3fn: 'f8_e4m3fn', float8_e5m2: 'f8_e5m2' },
  ...{ int64: 'i64', int32: 'i32', int16: 'i16', int8: 'i8', uint8: 'u8' },
};

const folder = new URL('../../fixtures/numerics/stats/', import.meta.url);

/** Tensors of a small safetensors file, read here by hand. */
function tensorsOf(file: string): Map<string, Uint8Array> {
  const bytes = new Uint8Array(fs.readFileSync(new URL(file, folder)));
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header: Record<string, { data_offsets?: [number, number] }> = JSON.parse(
    Buffer.from(bytes.subarray(8, 8 + length)).toString(),
  );
  return new Map(
    Object.entries(header).flatMap(([name, { data_offsets: at }]) =>
      at ? [[name, bytes.slice(8 + length + at[0], 8 + length + at[1])] as const] : [],
    ),
  );
}

describe.each(['convnet_state_dict', 'dtypes', 'special_values'])(
  'statistics of %s equal the reference',
  (name) => {
    const bytes = tensorsOf(`${name}.safetensors`);
    const { tensors }: { tensors: Reference[] } = JSON.parse(
      fs.readFileSync(new URL(`${name}.json`, folder)).toString(),
    );

    it.each(tensors)('$name', async (expected) => {
      const dtype = TYPES[expected.dtype]!;
      const [found] = await statTensors([tensor(dtype, bytes.get(expected.name)!, expected.numel)], context);
      expect(found).toMatchObject({
        count: expected.numel,
        zeros: expected.zeros,
        nan: expected.nan,
        inf: expected.inf,
        min: Number(expected.min),
        max: Number(expected.max),
      });
      const near = (value: number | null | undefined, reference: number): void => {
        if (!Number.isFinite(reference)) expect(value).toBe(reference);
        else expect(Math.abs(value! - reference)).toBeLessThanOrEqual(1e-12 * Math.abs(reference) + 1e-15);
      };
      near(found?.mean, expected.mean);
      near(found?.std, Number(expected.std_population));
      if (typeof expected.min === 'string') expect(found?.minExact).toBe(expected.min);
      if (typeof expected.max === 'string') expect(found?.maxExact).toBe(expected.max);
    });
  },
);

describe('statTensors', () => {
  const one = async (dtype: DType, bytes: Uint8Array, count: number, options = {}) =>
    (await statTensors([tensor(dtype, bytes, count)], context, options))[0];

  it('leaves out what has no numbers, keeps the order', async () => {
    const found = await statTensors(
      [
        tensor('c64', new Uint8Array(8), 1),
        tensor('f32', bytesOf(Float32Array.of(2)), 1),
        tensor('q8_0', new Uint8Array(34), 32),
      ],
      context,
    );
    expect(found.map((stats) => stats?.mean)).toEqual([undefined, 2, undefined]);
  });

  it('has no ends and no mean where nothing is finite', async () => {
    expect(await one('f32', bytesOf(Float32Array.of(NaN, Infinity, -Infinity)), 3)).toEqual({
      ...{ count: 3, min: null, max: null, mean: null, std: null, zeros: 0, nan: 1, inf: 2 },
    });
    expect(await one('f32', new Uint8Array(0), 0, { detail: true, histogram: 4 })).toEqual({
      ...{ count: 0, min: null, max: null, mean: null, std: null, zeros: 0, nan: 0, inf: 0 },
      ...{ distinct: 0, entropy: 0 },
    });
  });

  it('finds no spread in a constant, and the spread of values far from zero', async () => {
    const count = 300_000;
    expect(await one('f32', bytesOf(floats('constant', count)), count)).toMatchObject({
      std: 0,
      mean: Math.fround(0.1),
    });
    const next = random(7);
    const far = Float64Array.from({ length: count }, () => 1e9 + next());
    const mean = far.reduce((sum, value) => sum + (value - 1e9), 0) / count;
    const std = Math.sqrt(far.reduce((sum, value) => sum + (value - 1e9 - mean) ** 2, 0) / count);
    const found = await one('f64', bytesOf(far), count);
    expect(found?.std).toBeCloseTo(std, 8);
    const outlier = floats('weights', count);
    outlier[0] = 1e6;
    const rest = outlier.subarray(1).reduce((sum, value) => sum + value * value, 0) / (count - 1);
    const whole = await one('f32', bytesOf(outlier), count);
    expect(whole?.std).toBeCloseTo(
      Math.sqrt((rest * (count - 1) + 1e12) / count - (whole?.mean ?? 0) ** 2),
      3,
    );
  });

  it.each([
    'f16',
    'bf16',
    'f64',
    'i16',
    'i32',
    'u32',
    'i64',
    'f8_e5m2',
    'f6_e3m2',
    'f4_e2m1',
    'i4',
    'u2',
    'bool',
  ] as const)('%s agrees with the values as doubles', async (dtype) => {
    const count = 3001;
    const source = memoryTensor(
      { name: 'x', dtype: 'f32', shape: [count] },
      bytesOf(floats('weights', count).map((value) => value * 100)),
    );
    const [found, reference] = await statTensors(
      [castTensor(source, dtype), castTensor(castTensor(source, dtype), 'f64')],
      context,
      { detail: true, histogram: 5 },
    );
    expect(found?.mean).toBeCloseTo(reference!.mean!, 12);
    expect(found?.std).toBeCloseTo(reference!.std!, 12);
    const { min, max, zeros, nan, inf, histogram } = reference!;
    expect(found).toMatchObject({ min, max, zeros, nan, inf, histogram });
    if (dtype !== 'f4_e2m1') return;
    expect(found?.distinct).toBeLessThanOrEqual(16);
    expect(found?.entropy).toBeLessThanOrEqual(4);
  });

  it('counts different values exactly up to 65,536 and says nothing past that', async () => {
    const some = Float32Array.from({ length: 200_000 }, (_, i) => i % 65536);
    expect((await one('f32', bytesOf(some), some.length, { detail: true }))?.distinct).toBe(65536);
    const more = Float32Array.from({ length: 200_000 }, (_, i) => i % 65537);
    expect(await one('f32', bytesOf(more), more.length, { detail: true })).not.toHaveProperty('distinct');
    const wide = BigInt64Array.from({ length: 1000 }, (_, i) => BigInt(i % 10) << 32n);
    expect((await one('i64', bytesOf(wide), wide.length, { detail: true }))?.distinct).toBe(10);
    const codes = Uint16Array.from({ length: 70_000 }, (_, i) => i % 321);
    expect((await one('bf16', bytesOf(codes), codes.length, { detail: true }))?.distinct).toBe(321);
    expect(await one('bf16', bytesOf(codes), codes.length)).not.toHaveProperty('distinct');
  });

  it('measures the entropy of the exponent', async () => {
    const values = Float32Array.from({ length: 4096 }, (_, i) => 2 ** (i % 4));
    expect((await one('f32', bytesOf(values), 4096, { detail: true }))?.entropy).toBe(2);
  });

  it('fills a histogram whose last bin holds the largest value', async () => {
    const values = Float32Array.of(0, 1, 2, 3, 4, NaN, Infinity);
    const found = await one('f32', bytesOf(values), values.length, { histogram: 4 });
    expect(found?.histogram).toEqual({ min: 0, max: 4, counts: [1, 1, 1, 2] });
    const same = await one('f32', bytesOf(Float32Array.of(5, 5, 5)), 3, { histogram: 3 });
    expect(same?.histogram).toEqual({ min: 5, max: 5, counts: [3, 0, 0] });
    const wide = await one('f64', bytesOf(Float64Array.of(-1.7e308, 0, 1.7e308)), 3, { histogram: 2 });
    expect(wide?.histogram?.counts).toEqual([1, 2]);
  });

  it('stops when it is told to', async () => {
    const controller = new AbortController();
    controller.abort();
    const stopped = statTensors([tensor('f32', new Uint8Array(4), 1)], {
      ...context,
      signal: controller.signal,
    });
    await expect(stopped).rejects.toMatchObject({ code: 'E_INTERRUPTED' });
  });
});
