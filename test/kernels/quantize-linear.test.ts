import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { memoryTensor, rangeTensor, readTensor } from '../../src/core/tensor.js';
import { openDisk } from '../../src/io/disk.js';
import { castTensor } from '../../src/kernels/cast.js';
import { compareTensors } from '../../src/kernels/compare.js';
import { type AffineSpec, heldScales, quantizeTensor } from '../../src/kernels/quantize/affine.js';
import { heldScale } from '../../src/kernels/quantize/held-scale.js';
import { quantizeLinear } from '../../src/kernels/quantize/linear-pool.js';
import { testContext } from '../support/context.js';
import { floats } from './samples.js';

const folder = fs.mkdtempSync(path.join(tmpdir(), 'mlser-linear-'));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));
const context = testContext(1);

/** A tensor in a file, some bytes behind its begin. */
function stored(shape: readonly number[], values: Float32Array) {
  const file = path.join(folder, 'values.bin');
  fs.writeFileSync(file, Buffer.concat([Buffer.alloc(12), Buffer.from(values.buffer)]));
  const source = openDisk(file);
  return { tensor: rangeTensor({ name: 'x', dtype: 'f32', shape }, source, 12), close: () => source.close() };
}

const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex');

const shapes = [
  [1, 1],
  [7, 3],
  [33, 17],
  [5, 3, 3, 3],
  [4, 70_001],
  // More rows than a task takes.
  [70_001, 80],
];
/** Shapes whose rows fill bytes, and blocks. */
const evenShapes = [
  [8, 32],
  [5, 3, 3, 16],
  [70_001, 80],
];
const evenSpecs = [
  { axis: 0, symmetric: true, dtype: 'i4' },
  { axis: 0, symmetric: false, dtype: 'u4' },
  { axis: -1, symmetric: false, dtype: 'i4' },
  { symmetric: false, dtype: 'u2' },
  { axis: -1, block: 16, symmetric: true, dtype: 'i8' },
  { axis: -1, block: 16, symmetric: false, dtype: 'u4' },
] as const;
const specs = [
  { axis: 0, symmetric: true, dtype: 'i8' },
  { axis: 0, symmetric: false, dtype: 'u8' },
  { axis: -1, symmetric: true, dtype: 'i8' },
  { axis: -1, symmetric: false, dtype: 'i8' },
  { axis: -1, symmetric: true, dtype: 'u8', reduceRange: true },
  { symmetric: true, dtype: 'u8' },
  { symmetric: false, dtype: 'i8' },
] as const;
const crossed = (all: readonly number[][], how: readonly AffineSpec[]) =>
  all.flatMap((shape) =>
    how.map((spec) => ({
      shape,
      spec: spec.axis === -1 ? { ...spec, axis: shape.length - 1 } : spec,
      title: `[${shape}] ${JSON.stringify(spec)}`,
    })),
  );
const cases = [...crossed(shapes, specs), ...crossed(evenShapes, evenSpecs)];

describe('the pool makes the same integers from files', () => {
  it.each(cases)('$title', async ({ shape, spec }) => {
    const count = shape.reduce((product, size) => product * size, 1);
    // Ties, zeros, and channels of different sizes.
    const values = Float32Array.from({ length: count }, (_, i) =>
      i % 97 === 5 ? 0 : Math.round(Math.sin(i * i) * 2 ** (i % 11) * 8) / 8,
    );
    const { tensor, close } = stored(shape, values);
    const plain = await quantizeTensor(tensor, spec);
    const pooled = await quantizeLinear([{ tensor, spec }], context);
    try {
      const { affine, loss } = pooled.done.get('x') ?? {};
      if (!affine || !plain || !loss) throw new Error('not done');
      expect(affine.shape).toEqual(plain.shape);
      expect(hex(affine.scale)).toBe(hex(plain.scale));
      expect(hex(affine.zeroPoint)).toBe(hex(plain.zeroPoint));
      expect(affine.codes.info).toEqual(plain.codes.info);
      expect(Buffer.compare(await readTensor(affine.codes), await readTensor(plain.codes))).toBe(0);
      const [difference] = await compareTensors([{ a: tensor, b: affine.dequantized }], context);
      if (!difference) throw new Error('not compared');
      expect(loss.maxAbs).toBeCloseTo(difference.maxAbs, 5);
      expect(loss.maxRel).toBeCloseTo(difference.maxRel, 4);
      expect(loss.rmse / (difference.rmse || 1)).toBeCloseTo(difference.rmse === 0 ? 0 : 1, 4);
      expect(loss.cosine).toBeCloseTo(difference.cosine ?? 0, 5);
    } finally {
      pooled.release();
      close();
    }
  });

  it.each([
    [{ dtype: 'i8', symmetric: true, axis: 0 }],
    [{ dtype: 'u8', symmetric: false, axis: 1 }],
    [{ dtype: 'i8', symmetric: false }],
    [{ dtype: 'u4', symmetric: false, axis: 1, block: 16 }],
  ] as const)('scales of 16 bits count as they are stored: %j', async (how) => {
    const values = Float32Array.from({ length: 40 * 48 }, (_, i) => Math.sin(i * i) * 2 ** (8 - (i % 40)));
    const wide = memoryTensor({ name: 'x', dtype: 'f32', shape: [40, 48] }, new Uint8Array(values.buffer));
    for (const scaleType of ['f16', 'bf16'] as const) {
      const file = path.join(folder, 'half.bin');
      fs.writeFileSync(file, await readTensor(castTensor(wide, scaleType)));
      const source = openDisk(file);
      const tensor = rangeTensor({ name: 'x', dtype: scaleType, shape: [40, 48] }, source, 0);
      const spec = { ...how, scaleType };
      const plain = await quantizeTensor(tensor, spec);
      const pooled = await quantizeLinear([{ tensor, spec }], context);
      const { affine } = pooled.done.get('x') ?? {};
      if (!affine || !plain) throw new Error('not done');
      expect(hex(affine.scale)).toBe(hex(plain.scale));
      expect(hex(affine.zeroPoint)).toBe(hex(plain.zeroPoint));
      expect(Buffer.compare(await readTensor(affine.codes), await readTensor(plain.codes))).toBe(0);
      pooled.release();
      source.close();
    }
  });

  it('one scale is held as many are', () => {
    const scales = floats('bits', 100_000).filter((x) => Number.isFinite(x) && Math.abs(x) < 65000);
    for (const type of ['f16', 'bf16'] as const) {
      const many = heldScales(type, scales);
      expect(Float32Array.from(scales, heldScale(type)).buffer).toEqual(many.buffer);
    }
  });

  it('values of 16 bits are read as f32', async () => {
    const values = Float32Array.from({ length: 40 * 48 }, (_, i) => Math.sin(i * i) * 3);
    const wide = memoryTensor({ name: 'x', dtype: 'f32', shape: [40, 48] }, new Uint8Array(values.buffer));
    for (const dtype of ['f16', 'bf16'] as const) {
      const file = path.join(folder, 'half.bin');
      fs.writeFileSync(file, await readTensor(castTensor(wide, dtype)));
      const source = openDisk(file);
      const tensor = rangeTensor({ name: 'x', dtype, shape: [40, 48] }, source, 0);
      const spec = { dtype: 'i8', symmetric: true, axis: 0 } as const;
      const plain = await quantizeTensor(tensor, spec);
      const pooled = await quantizeLinear([{ tensor, spec }], context);
      const { affine } = pooled.done.get('x') ?? {};
      if (!affine || !plain) throw new Error('not done');
      expect(hex(affine.scale)).toBe(hex(plain.scale));
      expect(Buffer.compare(await readTensor(affine.codes), await readTensor(plain.codes))).toBe(0);
      expect(affine.dequantized.info.dtype).toBe(dtype);
      pooled.release();
      source.close();
    }
  });

  it('NaN and infinity are noticed', async () => {
    for (const odd of [Number.NaN, Number.POSITIVE_INFINITY])
      for (const axis of [0, 1])
        for (const at of [0, 57, 99]) {
          const values = new Float32Array(100).fill(0.5);
          values[at] = odd;
          const { tensor, close } = stored([20, 5], values);
          const pooled = await quantizeLinear(
            [{ tensor, spec: { dtype: 'i8', symmetric: true, axis } }],
            context,
          );
          expect(pooled.done.get('x')).toEqual({});
          pooled.release();
          close();
        }
  });

  it('leaves to others what it cannot do, and no file behind', async () => {
    // Scratch files of other tests lie elsewhere.
    const scratch = fs.mkdtempSync(path.join(folder, 'tmp-'));
    const { TMPDIR } = process.env;
    process.env['TMPDIR'] = scratch;
    const memory = memoryTensor({ name: 'm', dtype: 'f32', shape: [1] }, new Uint8Array(4));
    const { tensor, close } = stored([2, 4, 2], new Float32Array(16));
    const spec = { dtype: 'i8', symmetric: true } as const;
    const pooled = await quantizeLinear(
      [
        { tensor: memory, spec },
        { tensor, spec: { ...spec, axis: 1 } },
        { tensor, spec: { ...spec, axis: 2, block: 16 } },
        { tensor, spec: { ...spec, axis: 0, dtype: 'i4', rule: 'nbits' } },
        { tensor, spec: { ...spec, dtype: 'i16' } },
        { tensor, spec: { ...spec, scaleType: 'f16' } },
      ],
      context,
    );
    expect(pooled.done.size).toBe(0);
    expect(fs.readdirSync(scratch)).toHaveLength(1);
    pooled.release();
    close();
    expect(fs.readdirSync(scratch)).toEqual([]);
    if (TMPDIR === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = TMPDIR;
  });
});
