import * as fs from 'node:fs';
import { describe, expect, it } from 'vitest';
import { memoryTensor, readTensor, type TensorSource } from '../../src/core/tensor.js';
import { blockFloats, mxfp4, nf4 } from '../../src/kernels/quantize/block-floats.js';
import { bytesOfCodes, typedCodes } from '../../src/kernels/quantize/codes.js';
import { Nearest } from '../../src/kernels/quantize/nearest.js';
import { paletteTensor } from '../../src/kernels/quantize/palette.js';
import { smallFloatEncoder } from '../../src/kernels/small-floats.js';
import { goldenArrays } from './npz.js';

const folder = new URL('../../fixtures/numerics/kmeans/', import.meta.url);
const arrays = goldenArrays(new URL('kmeans.npz', folder));
const { entries }: { entries: Record<string, { inertia: number; inertia_uniform_grid?: number }> } =
  JSON.parse(fs.readFileSync(new URL('kmeans.json', folder), 'utf8'));

const f32 = (values: Float32Array): TensorSource =>
  memoryTensor({ name: 'x', dtype: 'f32', shape: [values.length] }, new Uint8Array(values.buffer));
const numbers = (bytes: Uint8Array): Float32Array => new Float32Array(bytes.slice().buffer);
const wave = Float32Array.from({ length: 1000 }, (_, i) => Math.sin(i * i) * (1 + (i % 7)));

describe('palettes', () => {
  const keys = Object.keys(entries).filter((key) => !key.startsWith('vec4'));

  it.each(keys)('fit as well as scikit-learn: %s', async (key) => {
    const [name = '', k = ''] = key.split('.');
    const values = numbers(arrays.get(name) ?? new Uint8Array());
    const tensor = f32(values);
    const found = await paletteTensor(tensor, { k: Number(k.slice(1)) }, bytesOfCodes([values.length], 8));
    if (!found) throw new Error('not finite');
    const back = numbers(await readTensor(found.dequantized));
    const inertia = values.reduce((sum, value, i) => sum + (value - (back[i] ?? 0)) ** 2, 0);
    const { inertia: best = 0, inertia_uniform_grid: grid = 0 } = entries[key] ?? {};
    expect(inertia).toBeLessThanOrEqual(best * (1 + 1e-6) + 1e-12);
    expect(inertia).toBeLessThanOrEqual(grid);
    // Every value has the code of the table's nearest value.
    const codes = await readTensor(found.codes);
    expect([...back]).toEqual([...codes].map((code) => found.tables[0]?.[code]));
    const [levels = new Float64Array(0)] = found.tables;
    const distances = [...values].map((value) => Math.min(...levels.map((level) => Math.abs(value - level))));
    values.forEach((value, i) => {
      expect(Math.abs(value - (back[i] ?? 0))).toBeCloseTo(distances[i] ?? 0, 12);
    });
  });

  it('take constant tensors, few values and none', async () => {
    const constant = await paletteTensor(
      f32(new Float32Array(5).fill(0.3)),
      { k: 16 },
      typedCodes([5], 'u4'),
    );
    expect(constant && [...numbers(await readTensor(constant.dequantized))]).toEqual(
      new Array(5).fill(Math.fround(0.3)),
    );
    const none = await paletteTensor(f32(new Float32Array(0)), { k: 4 }, typedCodes([0], 'u4'));
    expect(none && (await readTensor(none.codes)).length).toBe(0);
    expect(
      await paletteTensor(f32(Float32Array.of(1, Number.NaN)), { k: 4 }, typedCodes([2], 'u4')),
    ).toBeUndefined();
  });
});

describe('Nearest', () => {
  it('finds the nearest level, the lower one in the middle', () => {
    const levels = [-3, -1, 0, 0.5, 8];
    const nearest = new Nearest(levels);
    for (const value of [-9, -3, -2, -1.9, -0.5, 0.2, 0.25, 0.26, 4.25, 4.26, 99]) {
      const far = levels.map((level) => Math.abs(level - value));
      expect([value, nearest.of(value)]).toEqual([value, far.indexOf(Math.min(...far))]);
    }
    expect(new Nearest([2]).of(7)).toBe(0);
  });
});

describe('4-bit floats', () => {
  it('nf4: blocks are scaled to their largest magnitude, which is kept', async () => {
    const found = await blockFloats(f32(wave), nf4(64), typedCodes([wave.length], 'u4'));
    if (!found) throw new Error('not finite');
    const back = numbers(await readTensor(found.dequantized));
    for (let at = 0, block = 0; at < wave.length; at += 64, block++) {
      const largest = Math.max(...wave.subarray(at, at + 64).map(Math.abs));
      expect(found.scales[block]).toBe(Math.fround(largest));
      for (let i = at; i < Math.min(at + 64, wave.length); i++) {
        if (wave[i] === largest) expect(back[i]).toBe(largest);
        // Half of the widest gap between levels.
        expect(Math.abs((wave[i] ?? 0) - (back[i] ?? 0))).toBeLessThanOrEqual(largest * 0.1521);
      }
    }
  });

  it('mxfp4: powers of two as scales, E2M1 elements', async () => {
    const found = await blockFloats(
      f32(Float32Array.from({ length: 32 }, (_, i) => i / 4)),
      mxfp4(),
      typedCodes([32], 'u4'),
    );
    if (!found) throw new Error('not finite');
    expect([...found.scales]).toEqual([1]);
    const back = numbers(await readTensor(found.dequantized));
    // Half to even between neighbours; what is above 6 becomes 6.
    expect([...back].filter((_, i) => i % 2 === 0)).toEqual([
      0, 0.5, 1, 1.5, 2, 2, 3, 4, 4, 4, 4, 6, 6, 6, 6, 6,
    ]);
    const zeros = await blockFloats(f32(new Float32Array(40)), mxfp4(), typedCodes([40], 'u4'));
    expect(zeros && [...numbers(await readTensor(zeros.dequantized))]).toEqual(new Array(40).fill(0));
  });

  it('mxfp4: codes are those of casts to E2M1', () => {
    const encode = smallFloatEncoder('f4_e2m1');
    const values = Float32Array.from({ length: 4001 }, (_, i) => (i - 2000) / 256);
    const all = Float32Array.of(...values, -0, -0.1, 7, -9, 1e-30, -1e-30, ...values.map((x) => x * 1.0001));
    const codes = new Uint8Array(all.length);
    mxfp4().codes(all, 0, all.length, codes);
    expect([...codes]).toEqual([...all].map(encode));
  });

  it('give any part of the codes alone', async () => {
    const found = await blockFloats(f32(wave), nf4(64), typedCodes([wave.length], 'u4'));
    if (!found) throw new Error('not finite');
    const all = await readTensor(found.codes);
    const parts: Uint8Array[] = [];
    for (let at = 0; at < all.length; at += 33)
      for await (const part of found.codes.stream({ start: at, end: Math.min(all.length, at + 33) }))
        parts.push(part);
    expect(Buffer.concat(parts).equals(all)).toBe(true);
    expect(
      await blockFloats(f32(Float32Array.of(Number.POSITIVE_INFINITY)), nf4(), typedCodes([1], 'u4')),
    ).toBeUndefined();
  });
});
