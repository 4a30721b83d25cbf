import { describe, expect, it } from 'vitest';
import { memoryTensor } from '../../src/core/tensor.js';
import { type AffineSpec, fitted } from '../../src/kernels/quantize/affine.js';
import { lowerFactor } from '../../src/kernels/quantize/cholesky.js';
import { compensated } from '../../src/kernels/quantize/gptq.js';
import { roundHalfEven } from '../../src/kernels/quantize/parameters.js';

/** Rising and falling numbers without a pattern, always the same (a linear congruence). */
function noise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  };
}

/** XᵀX of rows whose columns depend on each other, dampened by 1 %. */
function correlated(size: number, rows = 4 * size): Float64Array {
  const next = noise(7);
  const gram = new Float64Array(size * size);
  for (let r = 0; r < rows; r++) {
    const common = next();
    const x = Float64Array.from({ length: size }, (_, k) => next() + common * (k % 3));
    for (let i = 0; i < size; i++)
      for (let j = 0; j < size; j++)
        gram[i * size + j] = (gram[i * size + j] ?? 0) + (x[i] ?? 0) * (x[j] ?? 0);
  }
  let trace = 0;
  for (let i = 0; i < size; i++) trace += gram[i * size + i] ?? 0;
  for (let i = 0; i < size; i++) gram[i * size + i] = (gram[i * size + i] ?? 0) + (0.01 * trace) / size;
  return gram;
}

const factorOf = (gram: Float64Array, size: number): Float64Array => {
  const factor = gram.slice();
  expect(lowerFactor(factor, size)).toBe(true);
  return factor;
};

/** dᵀ·H·d. */
function squared(d: ArrayLike<number>, gram: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < d.length; i++)
    for (let j = 0; j < d.length; j++) sum += (d[i] ?? 0) * (d[j] ?? 0) * (gram[i * d.length + j] ?? 0);
  return sum;
}

/** Inverse of a matrix by Gauss and Jordan, with the largest pivots. */
function inverse(h: readonly (readonly number[])[]): number[][] {
  const n = h.length;
  const rows = h.map((row, i) => [...row, ...row.map((_, j) => (i === j ? 1 : 0))]);
  for (let c = 0; c < n; c++) {
    const at = rows.slice(c).reduce((best, row, i) => {
      return Math.abs(row[c] ?? 0) > Math.abs(rows[best]?.[c] ?? 0) ? i + c : best;
    }, c);
    [rows[c], rows[at]] = [rows[at] ?? [], rows[c] ?? []];
    const pivot = rows[c]?.[c] ?? 1;
    rows[c] = (rows[c] ?? []).map((x) => x / pivot);
    for (let r = 0; r < n; r++) {
      const times = rows[r]?.[c] ?? 0;
      if (r !== c) rows[r] = (rows[r] ?? []).map((x, j) => x - times * (rows[c]?.[j] ?? 0));
    }
  }
  return rows.map((row) => row.slice(n));
}

/**
 * Optimal brain quantization (Frantar and Alistarh 2022, arXiv 2208.11580, equation 2) in the order of the inputs, as
 * the textbook has it: after each rounding the rest moves by the column of an inverse that is made anew.
 */
function textbook(
  weights: readonly number[],
  gram: Float64Array,
  round: (value: number, index: number, rest: readonly number[]) => number,
): number[] {
  const n = weights.length;
  const left = [...weights];
  return weights.map((_, i) => {
    const rest = Array.from({ length: n - i }, (_, a) =>
      Array.from({ length: n - i }, (_, b) => gram[(i + a) * n + i + b] ?? 0),
    );
    const inverted = inverse(rest);
    const wanted = left[i] ?? 0;
    const value = round(wanted, i, left);
    const pivot = inverted[0]?.[0] ?? 1;
    for (let j = i; j < n; j++)
      left[j] = (left[j] ?? 0) - ((wanted - value) / pivot) * (inverted[0]?.[j - i] ?? 0);
    return value;
  });
}

const layoutOf = (outputs: number, inputs: number, turned: boolean) =>
  turned
    ? { outputs, inputs, outputStep: inputs, inputStep: 1 }
    : { outputs, inputs, outputStep: 1, inputStep: outputs };

const signed = (codes: Uint8Array, bits: number): Int32Array =>
  Int32Array.from(codes, (q) => ((q & (2 ** bits - 1)) << (32 - bits)) >> (32 - bits));

describe('the factor of a matrix', () => {
  it.each([1, 3, 63, 64, 65, 130, 201])('gives a matrix of %i rows back', (size) => {
    const gram = correlated(size);
    const factor = factorOf(gram, size);
    let worst = 0;
    for (let i = 0; i < size; i++)
      for (let j = 0; j < size; j++) {
        if (j > i) expect(factor[i * size + j]).toBe(0);
        let sum = 0;
        for (let k = 0; k < size; k++) sum += (factor[k * size + i] ?? 0) * (factor[k * size + j] ?? 0);
        worst = Math.max(worst, Math.abs(sum - (gram[i * size + j] ?? 0)));
      }
    expect(worst).toBeLessThan(1e-10 * (gram[0] ?? 1) * size);
  });

  it('is none where the matrix is not positive definite, or not finite', () => {
    expect(lowerFactor(Float64Array.of(1, 2, 2, 1), 2)).toBe(false);
    expect(lowerFactor(Float64Array.of(1, Number.NaN, Number.NaN, 1), 2)).toBe(false);
    expect(lowerFactor(Float64Array.of(Number.POSITIVE_INFINITY), 1)).toBe(false);
  });
});

describe('compensated rounding', () => {
  const next = noise(3);
  const spec: AffineSpec = { dtype: 'i4', symmetric: true, axis: 0 };

  it.each([[false], [true]])(
    'equals the textbook, integer by integer (rows of outputs: %s)',
    async (turned) => {
      const [inputs, outputs] = [37, 5];
      const gram = correlated(inputs);
      const layout = layoutOf(outputs, inputs, turned);
      const weights = Float32Array.from({ length: inputs * outputs }, next);
      const scales = Float32Array.from({ length: outputs }, (_, n) => 0.1 + n / 50);
      const zeros = new Int32Array(outputs);
      const { codes, squaredError } = await compensated({
        ...{ weights, layout, spec, factor: factorOf(gram, inputs), search: false },
        parameters: { scales, zeros },
      });
      const q = signed(codes, 4);
      let total = 0;
      for (let n = 0; n < outputs; n++) {
        const row = Array.from(
          { length: inputs },
          (_, k) => weights[n * layout.outputStep + k * layout.inputStep] ?? 0,
        );
        const scale = scales[n] ?? 1;
        const wanted = textbook(
          row,
          gram,
          (x) => Math.max(-8, Math.min(7, roundHalfEven(x / scale))) * scale,
        );
        const found = row.map((_, k) => (q[n * layout.outputStep + k * layout.inputStep] ?? 0) * scale);
        expect(found).toEqual(wanted);
        total += squared(
          row.map((w, k) => w - (wanted[k] ?? 0)),
          gram,
        );
      }
      expect(squaredError / total).toBeCloseTo(1, 5);
    },
  );

  it('finds the scales of blocks from weights that have made up for what was rounded before', async () => {
    const [inputs, outputs, block] = [40, 3, 16];
    const gram = correlated(inputs);
    const weights = Float32Array.from({ length: inputs * outputs }, next);
    const { codes, parameters } = await compensated({
      ...{ weights, layout: layoutOf(outputs, inputs, false), factor: factorOf(gram, inputs), search: false },
      spec: { dtype: 'u4', symmetric: true, axis: 0, block, rule: 'nbits' },
    });
    for (let n = 0; n < outputs; n++) {
      const row = Array.from({ length: inputs }, (_, k) => weights[k * outputs + n] ?? 0);
      let scale = 0;
      const scales: number[] = [];
      const wanted = textbook(row, gram, (x, i, rest) => {
        if (i % block === 0) {
          const now = rest.slice(i, i + block);
          const farthest = now.reduce((most, y) => (Math.abs(y) > Math.abs(most) ? y : most), 0);
          scale = farthest / -8;
          scales.push(scale);
        }
        return Math.max(-8, Math.min(7, roundHalfEven(x / scale))) * scale;
      });
      row.forEach((_, k) => {
        const stored = scales[Math.floor(k / block)] ?? 1;
        expect(((codes[k * outputs + n] ?? 0) - 8) * stored).toBeCloseTo(wanted[k] ?? 9, 12);
      });
      scales.forEach((one, b) => {
        expect((parameters.scales[b * outputs + n] ?? 0) / one).toBeCloseTo(1, 5);
      });
    }
  });

  it.each([
    ['i8', 256, 70, 0.5],
    ['i4', 256, 70, 0.5],
    ['i2', 130, 66, 0.6],
  ] as const)('%s, %i inputs: less error of what a layer gives than nearest integers', async (...args) => {
    const [dtype, inputs, outputs, share] = args;
    const bits = Number(dtype.slice(1));
    const gram = correlated(inputs);
    const weights = Float32Array.from({ length: inputs * outputs }, next);
    const info = { name: 'w', dtype: 'f32' as const, shape: [outputs, inputs] };
    const own: AffineSpec = { dtype, symmetric: true, axis: 0 };
    const parameters = await fitted(memoryTensor(info, new Uint8Array(weights.buffer)), own);
    if (!parameters) throw new Error('these weights are finite');
    const { codes, squaredError } = await compensated({
      ...{ weights, layout: layoutOf(outputs, inputs, true), spec: own, factor: factorOf(gram, inputs) },
      ...{ parameters, search: false },
    });
    const q = signed(codes, bits);
    let [nearest, found] = [0, 0];
    for (let n = 0; n < outputs; n++) {
      const scale = parameters.scales[n] ?? 1;
      const row = weights.subarray(n * inputs, (n + 1) * inputs);
      const low = bits === 8 ? -127 : -(2 ** (bits - 1));
      const round = (x: number): number =>
        Math.max(low, Math.min(2 ** (bits - 1) - 1, roundHalfEven(x / scale))) * scale;
      nearest += squared(
        Float64Array.from(row, (x) => x - round(x)),
        gram,
      );
      found += squared(
        Float64Array.from(row, (x, k) => x - (q[n * inputs + k] ?? 0) * scale),
        gram,
      );
    }
    expect(found).toBeLessThan(nearest * share);
    expect(squaredError / found).toBeCloseTo(1, 4);
  });

  it('leaves an input that is always zero at its nearest integer, and all of them where all are', async () => {
    const weights = Float32Array.of(0.31, -0.62, 0.93);
    const identity = Float64Array.from({ length: 9 }, (_, i) => (i % 4 === 0 ? 1 : 0));
    const { codes } = await compensated({
      ...{ weights, layout: layoutOf(1, 3, true), spec, factor: identity, search: false },
      parameters: { scales: Float32Array.of(0.25), zeros: Int32Array.of(0) },
    });
    expect([...signed(codes, 4)]).toEqual([1, -2, 4]);
  });
});
