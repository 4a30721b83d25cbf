import { describe, expect, it } from 'vitest';
import { argmaxRows, compareOutput, nonFinite } from '../../src/runtime/metrics.js';
import type { Value } from '../../src/runtime/values.js';

const floats = (dims: number[], ...values: number[]): Value => ({
  type: 'float32',
  dims,
  data: Float32Array.from(values),
});
const compare = (a: Value, b: Value) => {
  const comparison = compareOutput('y');
  comparison.add(a, b);
  return { ...comparison.result(), findings: comparison.findings };
};

describe('comparison of outputs', () => {
  it('gives the smallest tolerance that passes', () => {
    const { maxAbs, maxRel, rmse, neededTolerance, argmaxAgreement } = compare(
      floats([1, 3], 1, 3.5, 0.25),
      floats([1, 3], 1, 3, 0),
    );
    expect({ maxAbs, maxRel, neededTolerance, argmaxAgreement }).toEqual({
      maxAbs: 0.5,
      maxRel: 0.5 / 3,
      neededTolerance: 0.25,
      argmaxAgreement: 1,
    });
    expect(rmse).toBeCloseTo(Math.sqrt((0.25 + 0.0625) / 3));
  });

  it('takes equal NaN and infinities for equal, and one of them alone for beyond any tolerance', () => {
    expect(compare(floats([3], NaN, Infinity, 1), floats([3], NaN, Infinity, 1)).neededTolerance).toBe(0);
    expect(compare(floats([1], NaN), floats([1], 1)).neededTolerance).toBe(Infinity);
    expect(compare(floats([1], 1), floats([1], -Infinity)).neededTolerance).toBe(Infinity);
    expect(compare(floats([1], Infinity), floats([1], -Infinity)).neededTolerance).toBe(Infinity);
  });

  it('has no cosine where a side is all zeros', () => {
    expect(compare(floats([2], 0, 0), floats([2], 0, 0)).cosine).toBeNull();
    expect(compare(floats([2], 2, 4), floats([2], 1, 2)).cosine).toBeCloseTo(1, 12);
  });

  it('sees differences of 64-bit integers that doubles do not hold', () => {
    const big = (value: bigint): Value => ({ type: 'int64', dims: [1], data: BigInt64Array.of(value) });
    expect(compare(big(2n ** 60n + 1n), big(2n ** 60n)).maxAbs).toBe(1);
  });

  it('reads half floats', () => {
    const half = (...bits: number[]): Value => ({ type: 'float16', dims: [2], data: Uint16Array.from(bits) });
    expect(compare(half(0x3c00, 0x4000), half(0x3c00, 0x3c00)).maxAbs).toBe(1);
  });

  it('adds up over batches', () => {
    const comparison = compareOutput('y');
    comparison.add(floats([1, 2], 1, 2), floats([1, 2], 1, 2));
    comparison.add(floats([1, 2], 3, 2), floats([1, 2], 2, 3));
    expect(comparison.result()).toMatchObject({ maxAbs: 1, rmse: Math.sqrt(2 / 4), argmaxAgreement: 0.5 });
  });

  it('says why outputs cannot be compared', () => {
    expect(compare(floats([2], 1, 2), floats([1, 2], 1, 2)).findings[0]?.code).toBe('OUTPUT_SHAPE_DIFFERS');
    const ints: Value = { type: 'int32', dims: [1], data: Int32Array.of(1) };
    expect(compare(ints, floats([1], 1)).findings[0]?.code).toBe('OUTPUT_DTYPE_DIFFERS');
    const loose = compareOutput('y', { anyNumberType: true });
    expect(loose.add(ints, floats([1], 1))).toBe(true);
    const text = (word: string): Value => ({ type: 'string', dims: [1], data: [word] });
    expect(compare(text('a'), text('b')).findings[0]?.code).toBe('OUTPUT_TEXT_DIFFERS');
    expect(compare(text('a'), text('a')).neededTolerance).toBe(0);
  });

  it('finds the largest element of rows, the first of equal ones', () => {
    expect(argmaxRows([1, 3, 3, 9, 0, 2], 3)).toEqual([1, 0]);
    expect(nonFinite(floats([4], 1, NaN, Infinity, 0))).toBe(2);
  });
});
