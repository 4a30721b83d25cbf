import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryTensor, readTensor } from '../../src/core/tensor.js';
import { type AffineSpec, fitted, withParameters } from '../../src/kernels/quantize/affine.js';
import { levelled } from '../../src/kernels/quantize/level-sums.js';
import { viewAs } from '../../src/kernels/views.js';

const tensorOf = (values: Float32Array, shape: readonly number[]) =>
  memoryTensor({ name: 'w', dtype: 'f32', shape }, new Uint8Array(values.buffer));

const floats = async (tensor: Parameters<typeof readTensor>[0]): Promise<Float32Array> => {
  const bytes = await readTensor(tensor);
  return viewAs(Float32Array, bytes, bytes.length / 4);
};

const weights = fc
  .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 40 }))
  .chain(([rows, columns]) =>
    fc
      .array(fc.float({ min: -4, max: 4, noNaN: true }), {
        minLength: rows * columns,
        maxLength: rows * columns,
      })
      .map((list) => ({ rows, columns, values: Float32Array.from(list) })),
  );
const specs = fc.constantFrom<AffineSpec>(
  { dtype: 'i4', symmetric: true, axis: 0 },
  { dtype: 'u4', symmetric: false, axis: 0 },
  { dtype: 'i2', symmetric: true, axis: 0 },
  { dtype: 'u2', symmetric: false, axis: 0 },
);

describe('level sums', () => {
  it('leave every channel at most half a step off, and no value more than one from its nearest', async () => {
    await fc.assert(
      fc.asyncProperty(weights, specs, async ({ rows, columns, values }, spec) => {
        const tensor = tensorOf(values, [rows, columns]);
        const parameters = await fitted(tensor, spec);
        if (!parameters) throw new Error('the values are finite');
        const made = await levelled(tensor, spec, parameters);
        const plain = withParameters(tensor, spec, parameters);
        if (!made) throw new Error('this is what it is made for');
        const [back, before] = [await floats(made.dequantized), await floats(plain.dequantized)];
        for (let row = 0; row < rows; row++) {
          const scale = parameters.scales[row] ?? 1;
          let [sum, sumBefore] = [0, 0];
          for (let i = row * columns; i < (row + 1) * columns; i++) {
            sum += ((values[i] ?? 0) - (back[i] ?? 0)) / scale;
            sumBefore += ((values[i] ?? 0) - (before[i] ?? 0)) / scale;
            expect(Math.abs((back[i] ?? 0) - (before[i] ?? 0)) / scale).toBeLessThan(1.0001);
          }
          // Where no value is left that can be moved, it is at least no worse.
          expect(Math.abs(sum)).toBeLessThanOrEqual(Math.max(0.501, Math.abs(sumBefore) + 1e-3));
        }
        expect(made.scale).toEqual(plain.scale);
        expect(made.codes.byteLength).toBe(plain.codes.byteLength);
      }),
      { numRuns: 200 },
    );
  });
  it('take an offset away that rounding each value by itself leaves', async () => {
    // 1.4 steps each: all are rounded down, and what comes out is 40 % of the steps short.
    const values = new Float32Array(100).fill(0.4 / 7.5).fill(1, 0, 1);
    const tensor = tensorOf(values, [1, 100]);
    const spec = { dtype: 'i4', symmetric: true, axis: 0 } as const;
    const parameters = { scales: Float32Array.of(1 / 7.5), zeros: Int32Array.of(0) };
    const made = await levelled(tensor, spec, parameters);
    if (!made) throw new Error('this is what it is made for');
    const sum = (list: Float32Array): number => list.reduce((all, x) => all + x, 0);
    const exact = sum(values);
    expect(Math.abs(sum(await floats(made.dequantized)) - exact) * 7.5).toBeLessThanOrEqual(0.51);
    const plain = withParameters(tensor, spec, parameters);
    expect(Math.abs(sum(await floats(plain.dequantized)) - exact) * 7.5).toBeGreaterThan(30);
  });
  it('leave blocks and other axes to others', async () => {
    const tensor = tensorOf(new Float32Array(64), [4, 16]);
    const parameters = { scales: new Float32Array(16).fill(1), zeros: new Int32Array(16) };
    expect(await levelled(tensor, { dtype: 'i4', symmetric: true, axis: 1 }, parameters)).toBeUndefined();
    const blocks = { dtype: 'i4', symmetric: true, axis: 0, block: 2 } as const;
    expect(await levelled(tensor, blocks, parameters)).toBeUndefined();
  });
});
