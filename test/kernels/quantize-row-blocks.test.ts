import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { memoryTensor, rangeTensor, readTensor } from '../../src/core/tensor.js';
import { openDisk } from '../../src/io/disk.js';
import { castTensor } from '../../src/kernels/cast.js';
import { compareTensors } from '../../src/kernels/compare.js';
import { type AffineSpec, quantizeTensor } from '../../src/kernels/quantize/affine.js';
import { quantizeRowBlocks } from '../../src/kernels/quantize/row-blocks-pool.js';
import { testContext } from '../support/context.js';

const folder = fs.mkdtempSync(path.join(tmpdir(), 'mlser-row-blocks-'));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

/** Ties, zeros of both signs, blocks of zeros, of one sign and of equal values, and numbers next to nothing. */
const valuesOf = (count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => {
    const kind = Math.floor(i / 16) % 9;
    if (kind === 3) return i % 2 === 0 ? 0 : -0;
    if (kind === 4) return -0.7;
    if (kind === 5) return 1 + (i % 5);
    if (kind === 6) return (i % 3) * 1e-44;
    return i % 97 === 5 ? 0 : Math.round(Math.sin(i * i) * 2 ** (i % 11) * 8) / 8;
  });

const shapes = [
  [1, 16],
  [3, 20],
  [9, 48],
  [5, 3, 40],
  [17, 1000],
];
/** More than a step reads, and more than a task does. */
const LARGE = [4200, 1028];
const types = ['i4', 'u4', 'i2', 'u2', 'i8', 'u8'] as const;
const cases = [
  ...shapes.flatMap((shape) =>
    types.flatMap((dtype) =>
      [true, false].flatMap((symmetric) => [16, 32].map((block) => ({ shape, dtype, symmetric, block }))),
    ),
  ),
  { shape: LARGE, dtype: 'u4', symmetric: false, block: 32 } as const,
];

describe('the pool makes the same integers of blocks along rows', () => {
  it.each(cases)('$shape $dtype, symmetric: $symmetric, block $block', async ({ shape, ...rest }) => {
    const values = valuesOf(shape.reduce((product, size) => product * size, 1));
    const file = path.join(folder, 'values.bin');
    fs.writeFileSync(file, Buffer.concat([Buffer.alloc(12), Buffer.from(values.buffer)]));
    const source = openDisk(file);
    const tensor = rangeTensor({ name: 'x', dtype: 'f32', shape }, source, 12);
    const spec: AffineSpec = { ...rest, axis: shape.length - 1, rule: 'nbits' };
    const plain = await quantizeTensor(tensor, spec);
    const pooled = await quantizeRowBlocks([{ tensor, spec }], testContext(1));
    try {
      const { blocks, loss } = pooled.done.get('x') ?? {};
      if (!blocks || !plain || !loss) throw new Error('not done');
      expect(blocks.scale.info.shape).toEqual(plain.shape);
      expect(Buffer.compare(await readTensor(blocks.scale), plain.scale)).toBe(0);
      expect(blocks.zeroPoint === undefined).toBe(plain.zeroPoint === undefined);
      if (blocks.zeroPoint && plain.zeroPoint)
        expect(Buffer.compare(await readTensor(blocks.zeroPoint), plain.zeroPoint)).toBe(0);
      expect(blocks.codes.info).toEqual(plain.codes.info);
      expect(Buffer.compare(await readTensor(blocks.codes), await readTensor(plain.codes))).toBe(0);
      const [difference] = await compareTensors([{ a: tensor, b: blocks.dequantized }], testContext(1));
      if (!difference) throw new Error('not compared');
      expect(loss.maxAbs).toBeCloseTo(difference.maxAbs, 5);
      expect(loss.rmse / (difference.rmse || 1)).toBeCloseTo(difference.rmse === 0 ? 0 : 1, 4);
      expect(loss.cosine).toBeCloseTo(difference.cosine ?? 0, 5);
    } finally {
      pooled.release();
      source.close();
    }
  });

  it('values of 16 bits are read as f32, and any number of threads gives the same', async () => {
    const values = valuesOf(4096 * 4096);
    const wide = memoryTensor(
      { name: 'x', dtype: 'f32', shape: [4096, 4096] },
      new Uint8Array(values.buffer),
    );
    const file = path.join(folder, 'half.bin');
    fs.writeFileSync(file, await readTensor(castTensor(wide, 'bf16')));
    const source = openDisk(file);
    const tensor = rangeTensor({ name: 'x', dtype: 'bf16', shape: [4096, 4096] }, source, 0);
    const spec: AffineSpec = { dtype: 'i4', symmetric: true, axis: 1, block: 32, rule: 'nbits' };
    const plain = await quantizeTensor(tensor, spec);
    for (const threads of [1, 3]) {
      const pooled = await quantizeRowBlocks([{ tensor, spec }], testContext(threads));
      const { blocks } = pooled.done.get('x') ?? {};
      if (!blocks || !plain) throw new Error('not done');
      expect(Buffer.compare(await readTensor(blocks.scale), plain.scale)).toBe(0);
      if (threads === 1)
        expect(Buffer.compare(await readTensor(blocks.codes), await readTensor(plain.codes))).toBe(0);
      pooled.release();
    }
    source.close();
  });

  it('NaN and infinity are noticed, and what it cannot do is left to others', async () => {
    for (const odd of [Number.NaN, Number.NEGATIVE_INFINITY]) {
      const values = new Float32Array(8 * 48).fill(0.5);
      values[8 * 48 - 1] = odd;
      const file = path.join(folder, 'odd.bin');
      fs.writeFileSync(file, Buffer.from(values.buffer));
      const source = openDisk(file);
      const tensor = rangeTensor({ name: 'x', dtype: 'f32', shape: [8, 48] }, source, 0);
      const spec: AffineSpec = { dtype: 'i4', symmetric: true, axis: 1, block: 32, rule: 'nbits' };
      const pooled = await quantizeRowBlocks(
        [
          { tensor, spec },
          ...[{ block: 20 }, { axis: 0 }, { scaleType: 'f16' as const }, { rule: 'linear' as const }].map(
            (more, i) => ({
              tensor: { ...tensor, info: { ...tensor.info, name: `y${i}` } },
              spec: { ...spec, ...more },
            }),
          ),
        ],
        testContext(1),
      );
      expect([...pooled.done.keys()]).toEqual(['x']);
      expect(pooled.done.get('x')?.blocks).toBeUndefined();
      pooled.release();
      source.close();
    }
  });
});
