import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ActivationRange } from '../../../src/graph/quantize/types.js';
import { BINS, Histogram } from '../../../src/operations/quantize/calibration/histogram.js';
import { quantile, rangeOf } from '../../../src/operations/quantize/calibration/methods.js';
import { Random } from '../../../src/runtime/random.js';

const of = (...batches: readonly (readonly number[] | Float32Array)[]): Histogram => {
  const made = new Histogram();
  for (const batch of batches) made.add(batch);
  return made;
};
const floats = fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 400 });
const mixed = fc.array(
  fc.oneof(
    fc.float({ min: -1, max: 1, noNaN: true }),
    fc.float({ min: -1e6, max: 1e6, noNaN: true }),
    fc.constant(0),
  ),
  { minLength: 1, maxLength: 400 },
);

describe('a histogram that re-bins itself', () => {
  it('does not depend on the order of values, nor on how they were cut into batches', () => {
    fc.assert(
      fc.property(fc.oneof(floats, mixed), fc.integer({ min: 0, max: 400 }), (values, cut) => {
        const whole = of(values);
        expect(of(values.slice(cut), values.slice(0, cut))).toEqual(whole);
        expect(of([...values].reverse())).toEqual(whole);
        expect(of(...values.slice(0, 40).map((x) => [x]), values.slice(40))).toEqual(whole);
      }),
      { numRuns: 40 },
    );
  });

  it('counts every value once, in the bin that holds it', () => {
    fc.assert(
      fc.property(fc.oneof(floats, mixed), (values) => {
        const { min, max, count, zeros, exponent, positive, negative } = of(values);
        expect([min, max, count]).toEqual([Math.min(...values) + 0, Math.max(...values) + 0, values.length]);
        expect(zeros).toBe(values.filter((x) => x === 0).length);
        const width = 2 ** exponent;
        for (const [bins, sign] of [
          [positive, 1],
          [negative, -1],
        ] as const) {
          const expected = new Float64Array(BINS);
          for (const x of values) if (x * sign > 0) expected[Math.floor((x * sign) / width)]! += 1;
          expect(bins).toEqual(expected);
        }
        // At most one doubling more than the values need.
        const largest = Math.max(max, -min);
        if (largest > BINS * 2 ** -126) expect(largest).toBeGreaterThanOrEqual((BINS / 2) * width);
      }),
    );
  });

  it('finds quantiles to the width of a bin', () => {
    fc.assert(
      fc.property(fc.oneof(floats, mixed), fc.float({ min: 0, max: 1, noNaN: true }), (values, share) => {
        const sorted = [...values].sort((a, b) => a - b);
        const made = of(values);
        const exact = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
        expect(Math.abs(quantile(made, share) - exact)).toBeLessThanOrEqual(2 ** made.exponent);
      }),
    );
  });

  it('leaves out what is no number, and keeps its size for any number of values', () => {
    const made = of([Number.NaN, Number.POSITIVE_INFINITY, 3, Number.NEGATIVE_INFINITY, -1]);
    expect(made).toMatchObject({ min: -1, max: 3, count: 2, nonFinite: 3 });
    expect(rangeOf(of([Number.NaN]), 'minmax', 255)).toBeUndefined();
    for (let i = 0; i < 50; i++) made.add(Float32Array.from({ length: 1000 }, (_, k) => k * 1.5 ** i));
    expect(made.count).toBe(50_002);
    expect(made.positive.length + made.negative.length).toBe(2 * BINS);
  });
});

const random = new Random(7);
const normal = Float32Array.from({ length: 200_000 }, () => random.normal());
const relu = normal.map((x) => Math.max(0, x));

/** Mean squared error of values quantized to 8 bits over a range. */
function errorOf(values: Float32Array, { min, max }: ActivationRange, integers = 255): number {
  const [low, high] = [Math.min(0, min), Math.max(0, max)];
  const step = (high - low) / integers;
  return (
    values.reduce((sum, x) => {
      const q = Math.round((Math.min(high, Math.max(low, x)) - low) / step) * step + low;
      return sum + (q - x) ** 2;
    }, 0) / values.length
  );
}

describe('methods', () => {
  it('minmax gives what was seen', () => {
    const sorted = [...normal].sort((a, b) => a - b);
    expect(rangeOf(of(normal), 'minmax', 255)).toEqual({ min: sorted[0], max: sorted.at(-1) });
  });

  it('percentile leaves out a hundred-thousandth of the values', () => {
    const values = Float32Array.from({ length: 1_000_000 }, (_, i) => i / 1000 - 300);
    const range = rangeOf(of(values), 'percentile', 255)!;
    expect(range.min).toBeCloseTo(-300 + 0.005, 0);
    expect(range.max).toBeLessThan(700);
    const spiked = of(normal.map((x, i) => (i === 5 ? 1000 : x)));
    expect(rangeOf(spiked, 'percentile', 255)!.max).toBeLessThanOrEqual(1000);
    expect(rangeOf(of(new Float32Array(10_000_000).fill(1), [1e4]), 'percentile', 255)!.max).toBeLessThan(20);
  });

  it('entropy cuts off lone outliers, and little of what has none', () => {
    expect(rangeOf(of(relu, [50]), 'entropy', 255)).toEqual({ min: 0, max: expect.closeTo(4, 0) });
    const plain = rangeOf(of(normal), 'entropy', 255)!;
    expect(plain.max).toBeGreaterThan(3);
    expect(plain.min).toBeLessThan(-3);
    const even = Float32Array.from({ length: 100_000 }, (_, i) => i / 1e5);
    expect(rangeOf(of(even), 'entropy', 255)!.max).toBeGreaterThan(0.97);
  });

  it('mse comes close to the best range that there is', () => {
    const heavy = relu.map((x) => x ** 4);
    const tailed = relu.map((x, i) => (i % 1000 === 0 ? 30 * x : x));
    for (const values of [normal, relu, heavy, tailed]) {
      const made = of(values);
      const shares = Array.from({ length: 60 }, (_, n) => (n + 1) / 60);
      const best = Math.min(...shares.map((a) => errorOf(values, { min: made.min * a, max: made.max * a })));
      expect(errorOf(values, rangeOf(made, 'mse', 255)!)).toBeLessThanOrEqual(best * 1.02);
    }
    expect(rangeOf(of(tailed), 'mse', 255)!.max).toBeLessThan(0.9 * of(tailed).max);
    // With 16 bits nothing is worth cutting off.
    expect(rangeOf(of(tailed), 'mse', 65_535)!.max).toBeGreaterThan(0.98 * of(tailed).max);
  });

  it('never leaves what was seen', () => {
    fc.assert(
      fc.property(
        fc.oneof(floats, mixed),
        fc.constantFrom('percentile', 'entropy', 'mse'),
        (values, method) => {
          const made = of(values);
          const { min, max } = rangeOf(made, method, 255)!;
          expect(min).toBeLessThanOrEqual(max);
          expect(min).toBeGreaterThanOrEqual(made.min);
          expect(max).toBeLessThanOrEqual(made.max);
        },
      ),
    );
  });
});
