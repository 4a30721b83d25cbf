import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { DType } from '../../src/core/dtype.js';
import { NO_PROGRESS, type WorkContext } from '../../src/core/format.js';
import { memoryTensor, rangeTensor, readTensor, type TensorSource } from '../../src/core/tensor.js';
import { type DiskSource, openDisk } from '../../src/io/disk.js';
import { castTensor } from '../../src/kernels/cast.js';
import { compareTensors, type TensorDifference } from '../../src/kernels/compare.js';
import { changedElements } from '../../src/kernels/compare-fold.js';
import { patterned } from '../../src/kernels/prune/pattern.js';
import { below } from '../../src/kernels/prune/threshold.js';
import { zeroed } from '../../src/kernels/prune/zero.js';
import { ownFolder } from '../support/folders.js';
import { bytesOf, floats } from './samples.js';

const context: WorkContext = { threads: 1, maxMemory: 1e9, progress: NO_PROGRESS };
const tensor = (dtype: DType, values: ArrayBufferView, count: number): TensorSource =>
  memoryTensor({ name: dtype, dtype, shape: [count] }, bytesOf(values));
const folder = ownFolder('compare');
/** Bytes in a file of their own. */
async function withFile<T>(bytes: Uint8Array, work: (source: DiskSource) => Promise<T>): Promise<T> {
  const file = folder(`f${files++}`);
  writeFileSync(file, bytes);
  const source = openDisk(file);
  try {
    return await work(source);
  } finally {
    source.close();
  }
}
let files = 0;
/** Zeros below a number that is there, and the first of those that have it exactly. */
const tied = (a: TensorSource): TensorSource => zeroed(a, { ...below(a, 0.25), tiesBefore: 200_000 });

const f32 = (values: Float32Array): TensorSource => tensor('f32', values, values.length);

async function compare(a: TensorSource, b: TensorSource): Promise<TensorDifference> {
  const [found] = await compareTensors([{ a, b }], context);
  return found!;
}

/** The definition, in one loop over doubles. */
function plainly(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
): Omit<TensorDifference, 'equal' | 'changed' | 'changedFraction'> {
  let [maxAbs, maxRel, neededTolerance, error, aa, bb, ab] = [0, 0, 0, 0, 0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i]!, b[i]!];
    const d = Math.abs(x - y);
    maxAbs = Math.max(maxAbs, d);
    if (x !== 0) maxRel = Math.max(maxRel, d / Math.abs(x));
    neededTolerance = Math.max(neededTolerance, d / (1 + Math.abs(y)));
    error += d * d;
    aa += x * x;
    bb += y * y;
    ab += x * y;
  }
  return {
    ...{ maxAbs, maxRel, neededTolerance, rmse: Math.sqrt(error / a.length) },
    ...{ sqnrDb: 10 * Math.log10(aa / error), cosine: ab / Math.sqrt(aa * bb) },
  };
}

function expectNear(found: TensorDifference, expected: ReturnType<typeof plainly>): void {
  for (const key of ['maxAbs', 'maxRel', 'neededTolerance', 'rmse', 'sqnrDb', 'cosine'] as const)
    expect(Math.abs(found[key]! - expected[key]!), key).toBeLessThanOrEqual(1e-11 * Math.abs(expected[key]!));
}

describe('compareTensors', () => {
  const count = 400_003;
  const values = floats('weights', count);

  it('finds equal tensors equal', async () => {
    expect(await compare(f32(values), f32(values.slice()))).toEqual({
      ...{ equal: true, changed: 0, changedFraction: 0, maxAbs: 0, maxRel: 0, neededTolerance: 0, rmse: 0 },
      ...{ sqnrDb: null, cosine: 1 },
    });
  });

  it('counts a change in one block and measures it against the whole tensor', async () => {
    const other = values.slice();
    other[200_000] = 5;
    const found = await compare(f32(values), f32(other));
    expect(found).toMatchObject({ equal: false, changed: 1, changedFraction: 1 / count });
    expectNear(found, plainly(values, other));
  });

  it.each(['bf16', 'f16', 'f8_e4m3fn', 'f64', 'i8'] as const)(
    'compares f32 with %s as numbers',
    async (dtype) => {
      const cast = castTensor(f32(values), dtype);
      const found = await compare(f32(values), cast);
      const back: Uint8Array[] = [];
      for await (const chunk of castTensor(cast, 'f32').stream()) back.push(chunk);
      const numbers = new Float32Array(new Uint8Array(Buffer.concat(back)).buffer);
      const changed = numbers.filter((value, i) => value !== values[i]).length;
      expect(found).toMatchObject({ equal: changed === 0, changed });
      if (changed > 0 && dtype !== 'i8') expectNear(found, plainly(values, numbers));
    },
  );

  it.each(['f64', 'i32', 'bf16', 'f6_e2m3', 'i4', 'u8'] as const)(
    'compares %s with itself changed',
    async (dtype) => {
      const scale = (by: number): TensorSource =>
        castTensor(f32(values.map((value, i) => (i % 1000 === 0 ? by : 100) * value)), dtype);
      const [a, b] = [scale(100), scale(200)];
      const numbers = async (source: TensorSource): Promise<Float64Array> => {
        const parts: Uint8Array[] = [];
        for await (const chunk of castTensor(source, 'f64').stream()) parts.push(chunk);
        return new Float64Array(new Uint8Array(Buffer.concat(parts)).buffer);
      };
      const [x, y] = [
        dtype === 'f64' ? undefined : await numbers(a),
        dtype === 'f64' ? undefined : await numbers(b),
      ];
      const found = await compare(a, b);
      expect(found.equal).toBe(false);
      expect(found.changed).toBeGreaterThan(100);
      if (x && y) expectNear(found, plainly(x, y));
    },
  );

  it.each([
    ['zeros below a magnitude', 'f32', (a: TensorSource) => zeroed(a, below(a, 0.5))],
    ['zeros of f64', 'f64', (a: TensorSource) => zeroed(a, below(a, 0.5))],
    ['zeros with ties, then another type', 'f32', (a: TensorSource) => castTensor(tied(a), 'bf16')],
    [
      'two of four',
      'bf16',
      (a: TensorSource) => patterned(a, { length: 4096, stride: 1 }, { keep: 2, of: 4 }),
    ],
    ['another type', 'f32', (a: TensorSource) => castTensor(a, 'f16')],
  ] as const)('says in the same read whether %s are what was meant', async (_, dtype, make) => {
    const [rows, columns] = [100, 4096];
    const raw = await readTensor(castTensor(f32(floats('weights', rows * columns)), dtype));
    await withFile(raw, async (source) => {
      const a = rangeTensor({ name: 'a', dtype, shape: [rows, columns] }, source, 0);
      const meant = make(a);
      const bytes = await readTensor(meant);
      const found = async (written: Uint8Array): Promise<boolean | undefined> =>
        withFile(written, async (file) => {
          const b = rangeTensor(meant.info, file, 0);
          const [difference] = await compareTensors([{ a, b, meant }], context);
          return difference?.exact;
        });
      expect(await found(bytes)).toBe(true);
      for (const at of [0, bytes.length >> 1, bytes.length - 1]) {
        const wrong = bytes.slice();
        wrong[at] = (wrong[at] ?? 0) ^ 1;
        expect(await found(wrong), `byte ${at}`).toBe(false);
      }
    });
  });

  it('says nothing of that where groups reach past blocks, or the bytes are those of another file', async () => {
    await withFile(bytesOf(floats('weights', 64 * 64)), async (source) => {
      const a = rangeTensor({ name: 'a', dtype: 'f32', shape: [64, 64] }, source, 0);
      const along = patterned(a, { length: 64, stride: 64 }, { keep: 1, of: 3 });
      const [first] = await compareTensors([{ a, b: a, meant: along }], context);
      expect(first).toMatchObject({ equal: true });
      expect(first?.exact).toBeUndefined();
      const stranger = memoryTensor(a.info, await readTensor(a));
      const [second] = await compareTensors([{ a, b: a, meant: zeroed(stranger, below(a, 1)) }], context);
      expect(second?.exact).toBeUndefined();
    });
  });

  it('tells bits apart where types are equal, numbers where they differ', async () => {
    const zeros = await compare(f32(Float32Array.of(0, 1)), f32(Float32Array.of(-0, 1)));
    expect(zeros).toMatchObject({ equal: false, changed: 1, maxAbs: 0, sqnrDb: null, cosine: 1 });
    const nan = Float32Array.of(NaN, 0, 1);
    expect(await compare(f32(nan), castTensor(f32(nan), 'f64'))).toMatchObject({ equal: true });
    const payload = nan.slice();
    new Uint32Array(payload.buffer)[0] = 0x7fc00001;
    expect(await compare(f32(nan), f32(payload))).toMatchObject({ equal: false, changed: 1, maxAbs: 0 });
  });

  it('a number against a NaN or infinity is an infinite error', async () => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      const found = await compare(f32(Float32Array.of(1, 2)), f32(Float32Array.of(1, bad)));
      const worst = Number.POSITIVE_INFINITY;
      expect(found).toMatchObject({
        changed: 1,
        maxAbs: worst,
        maxRel: worst,
        neededTolerance: worst,
        rmse: 0,
      });
    }
    const both = await compare(f32(Float32Array.of(Infinity, 2)), f32(Float32Array.of(Infinity, 3)));
    expect(both).toMatchObject({ changed: 1, maxAbs: 1 });
  });

  it('compares complex numbers by component, blocks as bytes, strangers not at all', async () => {
    const a = tensor('c64', Float32Array.of(1, 2, 3, 4), 2);
    const b = tensor('c64', Float32Array.of(1, 2, 3, 4.5), 2);
    expect(await compare(a, b)).toMatchObject({ changed: 1, changedFraction: 0.25, maxAbs: 0.5 });
    const blocks = memoryTensor({ name: 'q', dtype: 'q8_0', shape: [32] }, new Uint8Array(34));
    const other = memoryTensor({ name: 'q', dtype: 'q8_0', shape: [32] }, new Uint8Array(34).fill(1, 30));
    expect(await compare(blocks, blocks)).toMatchObject({ equal: true });
    expect(await compare(blocks, other)).toMatchObject({ equal: false, changed: 4, maxAbs: NaN });
    expect(await compare(blocks, tensor('f32', new Float32Array(32), 32))).toMatchObject({
      equal: false,
      maxAbs: NaN,
    });
  });

  it('handles empty tensors and 64-bit integers that doubles cannot tell apart', async () => {
    expect(await compare(f32(new Float32Array(0)), f32(new Float32Array(0)))).toMatchObject({ equal: true });
    const a = tensor('i64', BigInt64Array.of(2n ** 60n, 5n), 2);
    const b = tensor('i64', BigInt64Array.of(2n ** 60n + 1n, 5n), 2);
    expect(await compare(a, b)).toMatchObject({ equal: false, changed: 1, maxAbs: 0 });
  });

  it('counts changed elements of every width', () => {
    const a = Uint8Array.of(0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0);
    const b = Uint8Array.of(0x12, 0x35, 0x56, 0x78, 0, 0, 0, 1);
    expect(
      [2, 4, 6, 8, 16, 32, 64].map((bits) => changedElements(a, b, bits, Math.floor(64 / bits))),
    ).toEqual([2, 2, 2, 2, 2, 2, 1]);
  });
});
