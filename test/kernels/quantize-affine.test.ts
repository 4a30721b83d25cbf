import { describe, expect, it } from 'vitest';
import { memoryTensor, readTensor, type TensorSource } from '../../src/core/tensor.js';
import { quantizeTensor } from '../../src/kernels/quantize/affine.js';
import type { QuantizedType } from '../../src/kernels/quantize/integers.js';
import { integerCodes, intquant, matrix } from './intquant.js';

const { entries } = intquant;

/** `int8.sym.block16.axis0`, taken apart. */
function specOf(key: string) {
  const parts = key.split('.').slice(1);
  const number = (word: string): number | undefined => {
    const part = parts.find((one) => one.startsWith(word));
    return part === undefined ? undefined : Number(part.slice(word.length));
  };
  const dtype = (parts[0] ?? '').replace('uint', 'u').replace('int', 'i') as QuantizedType;
  const [axis, block] = [number('axis'), number('block')];
  return {
    dtype,
    symmetric: parts[1] === 'sym',
    reduceRange: parts.includes('reduce_range'),
    ...(axis === undefined ? {} : { axis }),
    ...(block === undefined ? {} : { block }),
  };
}

const affine = [...entries].filter(([key]) => !key.includes('nbits'));

describe('quantizeTensor equals onnxruntime', () => {
  it('has entries to compare with', () => {
    expect(affine).toHaveLength(296);
  });

  it.each(affine)('%s', async (key, entry) => {
    const spec = specOf(key);
    const found = await quantizeTensor(matrix(key), spec);
    if (!found) throw new Error('not finite');
    const scale = intquant.array(`${key}.scale`) ?? bits(entry.scale_f32_bits ?? 0);
    expect(Buffer.from(found.scale).toString('hex')).toBe(Buffer.from(scale).toString('hex'));
    const codes = integerCodes(spec.dtype, await readTensor(found.codes), found.codes);
    expect(codes).toEqual(integerCodes(wide(spec.dtype), intquant.array(`${key}.q`), found.codes));
    const zeros = { info: { name: '', dtype: spec.dtype, shape: found.shape } };
    const expected = intquant.array(`${key}.zero_point`);
    const zero = found.zeroPoint
      ? integerCodes(spec.dtype, found.zeroPoint, zeros)
      : new Array(found.scale.length / 4).fill(0);
    expect(zero).toEqual(expected ? integerCodes(wide(spec.dtype), expected, zeros) : [entry.zero_point]);
  });
});

/** 4-bit integers lie in whole bytes in the fixtures. */
const wide = (dtype: QuantizedType): QuantizedType => (dtype === 'i4' ? 'i8' : dtype === 'u4' ? 'u8' : dtype);
const bits = (word: number): Uint8Array => new Uint8Array(Uint32Array.of(word).buffer);

const f32 = (name: string, shape: readonly number[], values: ArrayLike<number>): TensorSource =>
  memoryTensor({ name, dtype: 'f32', shape }, new Uint8Array(Float32Array.from(values).buffer));

describe('quantizeTensor', () => {
  const values = Float32Array.from({ length: 3 * 50 * 7 }, (_, i) => Math.sin(i * i) * (1 + (i % 7)));

  it.each(['i8', 'u4', 'i2', 'u16'] as const)('gives any part of the codes alone: %s', async (dtype) => {
    const found = await quantizeTensor(f32('x', [3, 50, 7], values), {
      dtype,
      symmetric: false,
      axis: 1,
      block: 16,
    });
    if (!found) throw new Error('not finite');
    const all = await readTensor(found.codes);
    const parts: Uint8Array[] = [];
    for (let at = 0; at < all.length; at += 26)
      for await (const part of found.codes.stream({ start: at, end: Math.min(all.length, at + 26) }))
        parts.push(part);
    expect(Buffer.concat(parts).equals(all)).toBe(true);
  });

  it('counts as integers times scale', async () => {
    const found = await quantizeTensor(f32('x', [150, 7], values), { dtype: 'i8', symmetric: true, axis: 1 });
    if (!found) throw new Error('not finite');
    const codes = new Int8Array((await readTensor(found.codes)).buffer);
    const scales = new Float32Array(found.scale.buffer);
    const back = new Float32Array((await readTensor(found.dequantized)).buffer);
    expect([...back]).toEqual([...codes].map((q, i) => Math.fround(q * (scales[i % 7] ?? 0))));
    expect(found.dequantized.info).toEqual({ name: 'x', dtype: 'f32', shape: [150, 7] });
  });

  it('refuses what has no range', async () => {
    for (const odd of [Number.NaN, Number.POSITIVE_INFINITY])
      expect(
        await quantizeTensor(f32('x', [3], [1, odd, 2]), { dtype: 'i8', symmetric: true }),
      ).toBeUndefined();
  });

  it('takes empty tensors and scalars', async () => {
    const empty = await quantizeTensor(f32('x', [0, 4], []), { dtype: 'i4', symmetric: true, axis: 1 });
    expect(empty && (await readTensor(empty.codes)).length).toBe(0);
    const scalar = await quantizeTensor(f32('x', [], [-2]), { dtype: 'i8', symmetric: true });
    expect(scalar && [...(await readTensor(scalar.codes))]).toEqual([129]);
  });

  it('keeps small f16 scales above zero', async () => {
    const tiny = f32('x', [2], [1e-6, -1e-6]);
    const found = await quantizeTensor(tiny, { dtype: 'i8', symmetric: true, scaleType: 'f16' });
    expect(found && [...found.scale]).toEqual([1, 0]);
  });
});
