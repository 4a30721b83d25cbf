import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { memoryTensor, rangeTensor, readTensor, type TensorSource } from '../../src/core/tensor.js';
import { openDisk } from '../../src/io/disk.js';
import { castTensor } from '../../src/kernels/cast.js';
import { compareTensors } from '../../src/kernels/compare.js';
import { fitted, type Parameters } from '../../src/kernels/quantize/affine.js';
import { quantizeMatrices } from '../../src/kernels/quantize/blocks-pool.js';
import { matrixSpec, type NBitsSpec, nbitsMatrix } from '../../src/kernels/quantize/matmul-nbits.js';
import { testContext } from '../support/context.js';
import { intquant, matrix } from './intquant.js';

const keys = [...intquant.entries.keys()].filter((key) => key.includes('nbits'));

function specOf(key: string): NBitsSpec {
  const [, bits = '', block = '', symmetric] = key.split('.');
  return {
    bits: Number(bits.slice(5)) as 2 | 4 | 8,
    block: Number(block.slice(5)),
    symmetric: symmetric === 'sym',
  };
}

async function parameters(tensor: TensorSource, spec: NBitsSpec): Promise<Parameters> {
  const found = await fitted(tensor, matrixSpec(spec));
  if (!found) throw new Error('not finite');
  return found;
}

/** Bits behind the end of the matrix taken away: there the reference has what was there before. */
function masked(bytes: Uint8Array, { bits }: NBitsSpec, k: number, rows: number): string {
  const rowBytes = bytes.length / rows;
  const used = k * bits;
  const out = bytes.map((byte, i) => {
    const left = used - (i % rowBytes) * 8;
    return left >= 8 ? byte : left <= 0 ? 0 : byte & (2 ** left - 1);
  });
  return Buffer.from(out).toString('hex');
}

const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex');

describe('matrices for MatMulNBits equal onnxruntime', () => {
  it('has entries to compare with', () => {
    expect(keys).toHaveLength(72);
  });

  it.each(keys)('%s', async (key) => {
    const tensor = matrix(key);
    const spec = specOf(key);
    const found = nbitsMatrix(tensor, spec, await parameters(tensor, spec));
    const [k = 0, n = 0] = tensor.info.shape;
    expect(hex(await readTensor(found.scales))).toBe(hex(intquant.array(`${key}.scales`)));
    const packed = await readTensor(found.packed);
    expect(masked(packed, spec, k, n)).toBe(
      masked(intquant.array(`${key}.packed`) ?? new Uint8Array(), spec, k, n),
    );
    if (!spec.symmetric)
      expect(hex(found.zeroPoints && (await readTensor(found.zeroPoints)))).toBe(
        hex(intquant.array(`${key}.zero_points_packed`)),
      );
    else expect(found.zeroPoints).toBeUndefined();
  });

  it('gives any part of the packed bytes alone', async () => {
    const tensor = matrix('odd');
    const spec: NBitsSpec = { bits: 4, block: 16, symmetric: true };
    const { packed } = nbitsMatrix(tensor, spec, await parameters(tensor, spec));
    const all = await readTensor(packed);
    const parts: Uint8Array[] = [];
    for (let at = 0; at < all.length; at += 37)
      for await (const part of packed.stream({ start: at, end: Math.min(all.length, at + 37) }))
        parts.push(part);
    expect(Buffer.concat(parts).equals(all)).toBe(true);
  });
});

describe('the pool makes the same matrices from files', () => {
  const folder = fs.mkdtempSync(path.join(tmpdir(), 'mlser-blocks-'));
  afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));
  const context = testContext(1);

  const shapes = [
    [1, 1],
    [33, 17],
    [64, 48],
    [1000, 6],
    // More columns than a task takes at once.
    [5000, 1030],
  ] as const;
  const cases = shapes.flatMap(([k, n]) =>
    ([2, 4, 8] as const).flatMap((bits) =>
      [true, false].flatMap((symmetric) =>
        (k > 1000 ? [128] : [16, 32]).map((block) => ({ k, n, bits, symmetric, block })),
      ),
    ),
  );

  it.each(cases)('$k × $n, $bits bits, block $block, symmetric: $symmetric', async ({ k, n, ...spec }) => {
    const values = Float32Array.from({ length: k * n }, (_, i) =>
      i % 97 === 5 ? 0 : Math.round(Math.sin(i * i) * 2 ** (i % 11) * 8) / 8,
    );
    // Blocks of zeros, of one sign, and of equal values.
    for (let row = 0; row < k; row++) {
      values[row * n] = 0;
      if (n > 2) values[row * n + 1] = Math.abs(values[row * n + 1] ?? 0) + 0.1;
      if (n > 2) values[row * n + 2] = -0.7;
    }
    const file = path.join(folder, 'values.bin');
    fs.writeFileSync(file, Buffer.concat([Buffer.alloc(12), Buffer.from(values.buffer)]));
    const source = openDisk(file);
    const tensor = rangeTensor({ name: 'x', dtype: 'f32', shape: [k, n] }, source, 12);
    const pooled = await quantizeMatrices([{ tensor, spec }], context);
    try {
      const { matrix, loss } = pooled.done.get('x') ?? {};
      if (!matrix || !loss) throw new Error('not done');
      const plain = nbitsMatrix(tensor, spec, await parameters(tensor, spec));
      for (const part of ['packed', 'scales', 'zeroPoints'] as const) {
        const [found, expected] = [matrix[part], plain[part]];
        expect(found?.info).toEqual(expected?.info);
        if (!found || !expected) continue;
        expect((await readTensor(found)).length).toBe(found.byteLength);
        expect(Buffer.compare(await readTensor(found), await readTensor(expected))).toBe(0);
      }
      const [difference] = await compareTensors([{ a: tensor, b: matrix.dequantized }], context);
      if (!difference) throw new Error('not compared');
      expect(loss.maxAbs).toBeCloseTo(difference.maxAbs, 5);
      expect(loss.rmse / (difference.rmse || 1)).toBeCloseTo(difference.rmse === 0 ? 0 : 1, 4);
      if (difference.cosine !== null) expect(loss.cosine).toBeCloseTo(difference.cosine, 5);
    } finally {
      pooled.release();
      source.close();
    }
  });

  it.each([
    [96, 40, 4, true],
    [96, 40, 4, false],
    [100, 33, 4, false],
    [64, 12, 8, false],
    [70, 9, 2, true],
  ] as const)(
    'of f16, with scales of f16: %d × %d, %d bits, symmetric: %s',
    async (k, n, bits, symmetric) => {
      // Scales from far above to far below the normal range.
      const values = Float32Array.from(
        { length: k * n },
        (_, i) => Math.sin(i * i) * 2 ** (10 - 3 * (i % n)) * (i % 7 === 0 ? 0 : 1),
      );
      const wide = memoryTensor({ name: 'x', dtype: 'f32', shape: [k, n] }, new Uint8Array(values.buffer));
      const file = path.join(folder, 'half.bin');
      fs.writeFileSync(file, await readTensor(castTensor(wide, 'f16')));
      const source = openDisk(file);
      const tensor = rangeTensor({ name: 'x', dtype: 'f16', shape: [k, n] }, source, 0);
      const spec = { bits, block: 16, symmetric, scaleType: 'f16' } as const;
      const pooled = await quantizeMatrices([{ tensor, spec }], context);
      try {
        const { matrix } = pooled.done.get('x') ?? {};
        if (!matrix) throw new Error('not done');
        const plain = nbitsMatrix(tensor, spec, await parameters(tensor, spec));
        for (const part of ['packed', 'scales', 'zeroPoints'] as const) {
          const [found, expected] = [matrix[part], plain[part]];
          expect(found?.info).toEqual(expected?.info);
          if (!found || !expected) continue;
          expect(Buffer.compare(await readTensor(found), await readTensor(expected)), part).toBe(0);
        }
      } finally {
        pooled.release();
        source.close();
      }
    },
  );

  it('NaN and infinity are noticed', async () => {
    for (const odd of [Number.NaN, Number.NEGATIVE_INFINITY]) {
      const values = new Float32Array(100).fill(0.5);
      values[99] = odd;
      const file = path.join(folder, 'odd.bin');
      fs.writeFileSync(file, new Uint8Array(values.buffer));
      const source = openDisk(file);
      const tensor = rangeTensor({ name: 'x', dtype: 'f32', shape: [20, 5] }, source, 0);
      const pooled = await quantizeMatrices(
        [{ tensor, spec: { bits: 4, block: 16, symmetric: true } }],
        context,
      );
      expect(pooled.done.get('x')?.matrix).toBeUndefined();
      expect(pooled.done.get('x')?.loss.finite).toBe(false);
      pooled.release();
      source.close();
    }
  });
});
