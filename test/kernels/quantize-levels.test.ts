import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { rangeTensor, readTensor } from '../../src/core/tensor.js';
import { turnedTensor } from '../../src/graph/quantize/turned.js';
import { openDisk } from '../../src/io/disk.js';
import { compareTensors } from '../../src/kernels/compare.js';
import {
  blockFloats,
  e2m1Borders,
  mxfp4,
  NF4,
  nf4,
  nf4Borders,
} from '../../src/kernels/quantize/block-floats.js';
import { quantizeBlockFloats } from '../../src/kernels/quantize/block-floats-pool.js';
import { typedCodes } from '../../src/kernels/quantize/codes.js';
import { paletteTensor } from '../../src/kernels/quantize/palette.js';
import { quantizePalettes } from '../../src/kernels/quantize/palette-pool.js';
import { testContext } from '../support/context.js';

const folder = fs.mkdtempSync(path.join(tmpdir(), 'mlser-levels-'));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

/** A tensor in a file, some bytes behind its begin. */
function stored(values: Float32Array, shape: readonly number[]) {
  const file = path.join(folder, 'values.bin');
  fs.writeFileSync(file, Buffer.concat([Buffer.alloc(12), Buffer.from(values.buffer)]));
  const source = openDisk(file);
  return { source, tensor: rangeTensor({ name: 'x', dtype: 'f32', shape }, source, 12) };
}

/** Blocks of zeros, and blocks with a largest magnitude of 1 whose values lie on and beside the borders. */
const valuesOf = (count: number): Float32Array => {
  const borders = nf4Borders();
  return Float32Array.from({ length: count }, (_, i) => {
    if (Math.floor(i / 64) % 5 === 1) return 0;
    if (i % 16 === 3) return i % 32 === 3 ? 1 : -1;
    const border = borders[i % 15] ?? 0;
    return border + ((i % 3) - 1) * Math.abs(border) * 2 ** -24 + (i % 7 === 0 ? Math.sin(i) : 0);
  });
};

/** The same for powers of two of any size, with zeros of both signs. */
const powersOf = (count: number): Float32Array => {
  const borders = e2m1Borders();
  return Float32Array.from({ length: count }, (_, i) => {
    const power = 2 ** (((Math.floor(i / 32) * 29) % 271) - 147);
    if (i % 11 === 4) return i % 2 === 0 ? 0 : -0;
    if (i % 32 === 3) return 4 * power;
    const border = borders[i % 7] ?? 0;
    const near = border + ((i % 3) - 1) * border * 2 ** -23;
    return (i % 5 === 0 ? Math.sin(i) * 7.99 : i % 2 === 0 ? near : -near) * power;
  });
};

describe('4-bit floats from the kernel are those of the plain path', () => {
  it('borders are the f32 numbers at or next below the middle between levels', () => {
    nf4Borders().forEach((border, i) => {
      const middle = ((NF4[i] ?? 0) + (NF4[i + 1] ?? 0)) / 2;
      expect(border).toBeLessThanOrEqual(middle);
      expect(border + Math.abs(border) * 2 ** -22).toBeGreaterThan(middle);
    });
  });

  const cases = [
    // Rows, columns, block, turned.
    [1, 7, 16, false],
    [33, 17, 64, false],
    [600, 1000, 128, false],
    [64, 48, 64, true],
    [128, 7, 32, true],
    // More columns than are turned at a time.
    [8192, 131, 64, true],
    // The kernel leaves these to the plain path.
    [96, 10, 64, true],
    [40, 10, 40, false],
  ] as const;

  it.each(cases)('%d × %d, block %d, turned: %s', async (rows, columns, block, isTurned) => {
    const values = valuesOf(rows * columns);
    const { tensor, source } = stored(values, [rows, columns]);
    const turned = turnedTensor(tensor);
    const packing = typedCodes(isTurned ? [columns, rows] : [rows, columns], 'u4');
    const job = { tensor, packing, format: nf4(block), ...(isTurned ? { turned } : {}) };
    const plain = await blockFloats(isTurned ? turned : tensor, nf4(block), packing);
    const pooled = await quantizeBlockFloats([job], testContext(1));
    try {
      const { coded, loss } = pooled.done.get('x') ?? {};
      if (!coded || !plain || !loss) throw new Error('not done');
      expect(coded.scales).toEqual(plain.scales);
      expect(Buffer.compare(await readTensor(coded.codes), await readTensor(plain.codes))).toBe(0);
      const other = isTurned ? turnedTensor(coded.dequantized) : coded.dequantized;
      const [difference] = await compareTensors([{ a: tensor, b: other }], testContext(1));
      expect(loss.maxAbs).toBeCloseTo(difference?.maxAbs ?? 0, 5);
      expect(loss.cosine).toBeCloseTo(difference?.cosine ?? 0, 6);
    } finally {
      pooled.release();
      source.close();
    }
  });

  it.each([
    [1, 7, false],
    [33, 17, false],
    [600, 1000, false],
    [64, 48, true],
    [8192, 131, true],
    // The kernel leaves these to the plain path.
    [96, 10, true],
    [40, 10, true],
  ] as const)('E2M1 with powers of two, %d × %d, turned: %s', async (rows, columns, isTurned) => {
    const values = powersOf(rows * columns);
    const { tensor, source } = stored(values, [rows, columns]);
    const turned = turnedTensor(tensor);
    const packing = typedCodes(isTurned ? [columns, rows] : [rows, columns], 'u4');
    const job = { tensor, packing, format: mxfp4(), ...(isTurned ? { turned } : {}) };
    const plain = await blockFloats(isTurned ? turned : tensor, mxfp4(), packing);
    const pooled = await quantizeBlockFloats([job], testContext(1));
    try {
      const { coded, loss } = pooled.done.get('x') ?? {};
      if (!coded || !plain || !loss) throw new Error('not done');
      expect(coded.scales).toEqual(plain.scales);
      expect(Buffer.compare(await readTensor(coded.codes), await readTensor(plain.codes))).toBe(0);
    } finally {
      pooled.release();
      source.close();
    }
  });

  it.each([
    [1, 16],
    [15, 16],
    [1000, 16],
    [700_001, 16],
    [300_000, 5],
    [4096, 1],
  ])('codes of one codebook: %d values, at most %d of them', async (count, k) => {
    // Few values, so that many lie in the middle between two of the codebook.
    const values = Float32Array.from(
      { length: count },
      (_, i) => ((i * 7919) % 61) / 8 - 3 + (i % 13 ? 0 : -0),
    );
    const { tensor, source } = stored(values, [count]);
    const packing = typedCodes([count], 'u4');
    const plain = await paletteTensor(tensor, { k }, packing);
    const pooled = await quantizePalettes([{ tensor, packing, spec: { k } }], testContext(1));
    try {
      const { coded, loss } = pooled.done.get('x') ?? {};
      if (!coded || !plain || !loss) throw new Error('not done');
      expect(coded.tables).toEqual(plain.tables);
      expect(Buffer.compare(await readTensor(coded.codes), await readTensor(plain.codes))).toBe(0);
      const [difference] = await compareTensors([{ a: tensor, b: coded.dequantized }], testContext(1));
      expect(loss.maxAbs).toBeCloseTo(difference?.maxAbs ?? 0, 5);
      expect(loss.rmse).toBeCloseTo(difference?.rmse ?? 0, 5);
    } finally {
      pooled.release();
      source.close();
    }
  });

  it('NaN and infinity are noticed', async () => {
    for (const odd of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const values = valuesOf(640);
      values[639] = odd;
      const file = path.join(folder, 'odd.bin');
      fs.writeFileSync(file, Buffer.from(values.buffer));
      const source = openDisk(file);
      const tensor = rangeTensor({ name: 'x', dtype: 'f32', shape: [10, 64] }, source, 0);
      const job = { tensor, packing: typedCodes([10, 64], 'u4'), format: nf4(64) };
      const pooled = await quantizeBlockFloats([job], testContext(1));
      expect(pooled.done.get('x')).toEqual({});
      pooled.release();
      const own = { tensor, packing: typedCodes([10, 64], 'u4'), spec: { k: 16 } };
      const palettes = await quantizePalettes([own], testContext(1));
      expect(palettes.done.get('x')).toEqual({});
      palettes.release();
      source.close();
    }
  });
});
