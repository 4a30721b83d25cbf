import { describe, expect, it } from 'vitest';
import type { Prediction } from '../../src/core/prediction.js';
import { predict } from '../../src/kernels/predict.js';
import { adamSecond, adamWeight } from '../../src/kernels/reference/adam.js';
import { bytesOf, floats, KINDS, LENGTHS } from './samples.js';

const f32 = (...values: number[]): number[] => values.map(Math.fround);
const SCALARS = {
  'adam-weight': [f32(0.9999, -1.2e-3, 0.8, 1e-8), f32(1, 3e38, 1e-40, 0), f32(Number.NaN, -0, 0, Infinity)],
  'adam-second': [f32(0.1, 0.999, 1e-3), f32(0, 1, 0), f32(1e-45, Number.NaN, -Infinity)],
};

describe.each(KINDS)('a predicted step on %s equals the reference bit for bit', (kind) => {
  it.each(['adam-weight', 'adam-second'] as const)('%s', (of) => {
    for (const count of LENGTHS)
      for (const scalars of SCALARS[of]) {
        const [a, b, c] = [floats(kind, count, 3), floats(kind, count, 4), floats(kind, count, 5)];
        const reference = of === 'adam-weight' ? adamWeight : adamSecond;
        const prediction: Prediction =
          of === 'adam-weight'
            ? { kind: of, first: '', second: '', scalars }
            : { kind: of, first: '', scalars };
        const found = predict(prediction, [a, b, c].map(bytesOf));
        const expected = bytesOf(reference(a, b, c, scalars));
        expect(Buffer.compare(found, expected), `${count} ${scalars.join(' ')}`).toBe(0);
      }
  });
});

/** Steps 4 and 5 of torch.optim.AdamW: lr 0.01, betas 0.9 and 0.95, weight decay 0.1 (torch 2.13.0+cpu). */
const BEFORE = {
  weight: [0.514694094657898, -1.2497516870498657, 0.035807956010103226, -0.016209859400987625],
  first: [0.00827343761920929, 0.06839562952518463, -1.3596027201856486e-5, 0.7452216744422913],
  second: [0.0029984822031110525, 0.9861760139465332, 1.402281624152124e-9, 4.139397144317627],
};
const AFTER = {
  weight: [0.5159419775009155, -1.2474610805511475, 0.03948153555393219, -0.01550248358398676],
  first: [-0.010040387511253357, -0.09203223884105682, -1.16654982775799e-5, -0.16186271607875824],
  second: [0.004377443343400955, 1.0548139810562134, 1.3337972948335164e-9, 7.398225784301758],
};

describe('a step', () => {
  const [first, second] = [Float32Array.from(AFTER.first), Float32Array.from(AFTER.second)];

  it('makes of weights what torch makes of them', () => {
    const scalars = f32(1 - 0.01 * 0.1, -0.01 / (1 - 0.9 ** 5), Math.sqrt(1 - 0.95 ** 5), 1e-8);
    const found = adamWeight(Float32Array.from(BEFORE.weight), first, second, scalars);
    expect(found).toEqual(Float32Array.from(AFTER.weight));
  });

  it('makes of second moments nearly that', () => {
    const before = Float32Array.from(BEFORE.first);
    const found = adamSecond(Float32Array.from(BEFORE.second), before, first, f32(1 - 0.9, 0.95, 1 - 0.95));
    found.forEach((value, i) => {
      expect(Math.abs(value / second[i]! - 1)).toBeLessThan(3e-7);
    });
  });
});
