import fc from 'fast-check';
import { expect, it } from 'vitest';
import { differenceText, toleranceText } from '../../src/validate/difference-text.js';

it('tells four digits', () => {
  expect(differenceText(21.47419548034668, 3.4833841729740773, 0.0001)).toBe(
    'differs by up to 21.47: tolerance 3.484 would have passed, 0.0001 was allowed',
  );
  expect(toleranceText(0.5, 0.25)).toBe('tolerance 0.5 would have passed, 0.25 was allowed');
  expect(toleranceText(0.99999, 0.25)).toContain('tolerance 1 would');
  expect(toleranceText(Number.POSITIVE_INFINITY, 0)).toContain('tolerance Infinity would');
});

it('a tolerance that is told to pass does, and is hardly larger than it has to be', () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-300, max: 1e300, noNaN: true }), (needed) => {
      const told = Number(/tolerance (\S+) would/.exec(toleranceText(needed, 0))?.[1]);
      expect(told).toBeGreaterThanOrEqual(needed);
      expect(told).toBeLessThan(needed * 1.0011);
    }),
  );
});
