import { describe, expect, it } from 'vitest';
import { memoryTensor } from '../../src/core/tensor.js';
import { type AffineSpec, fitted } from '../../src/kernels/quantize/affine.js';
import { Groups } from '../../src/kernels/quantize/groups.js';
import { Rounder } from '../../src/kernels/quantize/rounder.js';
import { SquaredErrors } from '../../src/kernels/quantize/squared-errors.js';
import { bytesOf, floats } from './samples.js';

const specs: readonly AffineSpec[] = (['linear', 'nbits'] as const).flatMap((rule) =>
  (['i8', 'u4', 'u2'] as const).flatMap((dtype) =>
    [{}, { axis: 0 }, { axis: 1 }, { axis: 0, block: 16 }, { axis: 1, block: 16 }].map((granularity) => ({
      ...{ rule, dtype, symmetric: dtype === 'i8', ...granularity },
    })),
  ),
);

describe('squared errors of several scales in one pass', () => {
  it.each(specs)('are those of the rounded values: %j', async (spec) => {
    const shape = [50, 37];
    const values = floats('weights', 50 * 37);
    const tensor = memoryTensor({ name: 'x', dtype: 'f32', shape }, bytesOf(values));
    const groups = new Groups(shape, spec);
    const found = await fitted(tensor, spec);
    if (!found) throw new Error('not finite');
    const tries = [1, 0.8, 0.5].map((share) => found.scales.map((scale) => scale * share));
    const squares = new SquaredErrors(spec, groups, tries, found.zeros);
    // In two pieces, the first of which ends within a group.
    squares.add(values.subarray(0, 1000), 0);
    squares.add(values.subarray(1000), 1000);
    for (const [k, scales] of tries.entries()) {
      const back = new Rounder(spec.dtype, groups, scales, found.zeros, spec.rule ?? 'linear').dequantized(
        values,
        0,
      );
      const expected = new Float64Array(groups.count);
      groups.visit(0, values.length, (start, length, group, steps) => {
        for (let i = start, g = group; i < start + length; i++, g += steps ? 1 : 0)
          expected[g] = (expected[g] ?? 0) + ((values[i] ?? 0) - (back[i] ?? 0)) ** 2;
      });
      expect(squares.all[k]).toEqual(expected);
    }
  });
});
