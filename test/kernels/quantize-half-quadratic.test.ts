import { describe, expect, it } from 'vitest';
import { memoryTensor } from '../../src/core/tensor.js';
import { type AffineSpec, fitted, type Parameters } from '../../src/kernels/quantize/affine.js';
import { Groups } from '../../src/kernels/quantize/groups.js';
import { halfQuadratic } from '../../src/kernels/quantize/half-quadratic.js';
import { integersOf } from '../../src/kernels/quantize/integers.js';

const tensorOf = (shape: readonly number[], values: Float32Array) =>
  memoryTensor({ name: 'w', dtype: 'f32', shape }, new Uint8Array(values.buffer));

/** Many small values and some large ones, not around zero. */
const values = (count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => {
    const x = (Math.sin((i + 1) * 12.9898) * 43758.5453) % 1;
    return 0.3 + x ** 3 + (i % 29 === 0 ? x * 2 : 0);
  });

/** Squared error of every group, in the plainest way. */
function errorsOf(
  w: Float32Array,
  shape: readonly number[],
  spec: AffineSpec,
  found: Parameters,
): Float64Array {
  const groups = new Groups(shape, spec);
  const errors = new Float64Array(groups.count);
  groups.visit(0, w.length, (start, length, group, steps) => {
    for (let i = 0; i < length; i++) {
      const g = group + (steps ? i : 0);
      errors[g] =
        (errors[g] ?? 0) + errorOf(w[start + i] ?? 0, found.scales[g] ?? 0, found.zeros[g] ?? 0, spec);
    }
  });
  return errors;
}

function errorOf(value: number, scale: number, zero: number, { dtype }: AffineSpec): number {
  const { low, high } = integersOf(dtype);
  const q = scale === 0 ? zero : Math.min(high, Math.max(low, Math.round(value / scale) + zero));
  return (value - (q - zero) * scale) ** 2;
}

describe('half-quadratic quantization', () => {
  const specs: readonly AffineSpec[] = [
    { dtype: 'u4', symmetric: false, axis: 0, block: 16, rule: 'nbits' },
    { dtype: 'u2', symmetric: false, axis: 0, block: 16, rule: 'nbits' },
    { dtype: 'u2', symmetric: false, axis: 1, block: 32 },
    { dtype: 'i4', symmetric: false, axis: 1 },
    { dtype: 'u4', symmetric: false },
  ];
  it.each(specs)('%o: no group gets worse, and all together better', async (spec) => {
    const shape = [70, 12];
    const w = values(70 * 12);
    const start = await fitted(tensorOf(shape, w), spec);
    if (!start) throw new Error('these weights are finite');
    const before = errorsOf(w, shape, spec, start);
    const after = errorsOf(w, shape, spec, await halfQuadratic(tensorOf(shape, w), spec, start));
    after.forEach((error, g) => void expect(error).toBeLessThanOrEqual((before[g] ?? 0) * (1 + 1e-5)));
    const sum = (errors: Float64Array): number => errors.reduce((total, error) => total + error, 0);
    expect(sum(after)).toBeLessThan(sum(before) * 0.97);
  });

  it('comes near to the best of all scales and zero points', async () => {
    const spec: AffineSpec = { dtype: 'u4', symmetric: false, axis: 1 };
    const w = values(40);
    const start = await fitted(tensorOf([40, 1], w), spec);
    if (!start) throw new Error('these weights are finite');
    const total = (found: Parameters): number => errorsOf(w, [40, 1], spec, found)[0] ?? 0;
    let least = Number.POSITIVE_INFINITY;
    for (let zero = 0; zero < 16; zero++)
      for (let part = 200; part <= 1200; part++) {
        const scales = Float32Array.of(((start.scales[0] ?? 0) * part) / 1000);
        least = Math.min(least, total({ scales, zeros: Int32Array.of(zero) }));
      }
    const found = total(await halfQuadratic(tensorOf([40, 1], w), spec, start));
    expect(least).toBeLessThan(total(start) * 0.97);
    expect(found).toBeLessThan((least + total(start)) / 2);
  });

  it('leaves groups of zeros, and of one value, as they are', async () => {
    const spec: AffineSpec = { dtype: 'u4', symmetric: false, axis: 0, block: 16, rule: 'nbits' };
    const w = Float32Array.from({ length: 32 }, (_, i) => (i < 16 ? 0 : 0.75));
    const start = await fitted(tensorOf([32, 1], w), spec);
    if (!start) throw new Error('these weights are finite');
    const found = await halfQuadratic(tensorOf([32, 1], w), spec, start);
    expect([...errorsOf(w, [32, 1], spec, found)]).toEqual([0, expect.closeTo(0, 10)]);
    expect(found.scales.every(Number.isFinite)).toBe(true);
  });
});
