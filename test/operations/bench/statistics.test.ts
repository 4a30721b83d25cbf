import { describe, expect, it } from 'vitest';
import { verdictOf } from '../../../src/operations/bench/compare.js';
import {
  mean,
  quantile,
  ratioOfMedians,
  resamples,
  summarize,
  trimmedMean,
  wilson,
} from '../../../src/operations/bench/statistics.js';
import { shuffled, turnsEach } from '../../../src/operations/bench/turns.js';
import { Random } from '../../../src/runtime/random.js';

const values = Float64Array.of(3.5, 1.25, 9, 2, 7.75, 4, 4.5);

describe('figures of runs', () => {
  it('quantiles are those of numpy.quantile', () => {
    const sorted = values.slice().sort();
    const found = [0, 0.25, 0.5, 0.95, 0.99, 1].map((p) => quantile(sorted, p));
    const numpy = [1.25, 2.75, 4, 8.625, 8.925, 9];
    for (const [i, value] of numpy.entries()) expect(found[i]).toBeCloseTo(value, 12);
    expect(mean(values)).toBeCloseTo(32 / 7, 12);
    expect(quantile(Float64Array.of(5), 0.99)).toBe(5);
  });

  it('a trimmed mean leaves the ends out', () => {
    expect(trimmedMean([100, 1, 2, 3, -50], 0.2)).toBe(2);
    expect(trimmedMean([7], 0.1)).toBe(7);
  });

  it("Wilson's interval is that of Newcombe's table (1998, method 3)", () => {
    for (const [right, samples, low, high] of [
      [81, 263, 0.2553, 0.3662],
      [15, 148, 0.0624, 0.1605],
      [0, 20, 0, 0.1611],
      [1, 29, 0.0061, 0.1718],
    ] as const) {
      const [from, to] = wilson(right, samples);
      expect(from).toBeCloseTo(low, 4);
      expect(to).toBeCloseTo(high, 4);
    }
  });

  it('summarize counts every run once', () => {
    const { latency } = summarize([values, Float64Array.of(2, 2)], []);
    expect(latency).toMatchObject({ min: 1.25, max: 9, p50: 3.5 });
    expect(latency.histogram.counts.reduce((sum, count) => sum + count, 0)).toBe(9);
    expect(latency.intervals).toEqual({ mean: null, p50: null, p95: null, p99: null });
  });
});

describe('turns', () => {
  it('are drawn within the processes that are drawn', () => {
    const draws = resamples(3, 4, 1);
    expect(draws).toHaveLength(1000);
    for (const draw of draws) {
      expect(draw).toHaveLength(12);
      for (let i = 0; i < 3; i++)
        expect(new Set([...draw.slice(i * 4, i * 4 + 4)].map((turn) => Math.floor(turn / 4))).size).toBe(1);
    }
    expect(resamples(3, 4, 1)).toEqual(draws);
    expect(resamples(2, 2, 1)).toEqual([]);
  });

  it('are as many as there are runs for', () => {
    expect([turnsEach(5, undefined), turnsEach(5, 1000), turnsEach(5, 7), turnsEach(2, 50)]).toEqual([
      4, 4, 1, 10,
    ]);
  });

  it('come in another order each time, and everybody has one', () => {
    const random = new Random(3);
    const orders = Array.from({ length: 20 }, () => shuffled(['a', 'b', 'c'], random).join(''));
    for (const order of orders) expect([...order].sort().join('')).toBe('abc');
    expect(new Set(orders).size).toBe(6);
  });
});

/** Latencies as they are: each process has its own luck, each turn a machine that is busy or not, each run a tail. */
function simulated(random: Random, turnNoise: readonly number[], typical: number): Float64Array[] {
  return turnNoise.map((noise, turn) => {
    const luck = turn % 4 === 0 ? 1 + 0.03 * random.normal() : undefined;
    current = luck ?? current;
    return Float64Array.from(
      { length: 4 },
      () => typical * current * noise * Math.exp(0.05 * random.normal()),
    );
  });
}
let current = 1;

describe('a difference', () => {
  const trial = (seed: number, slower: number) => {
    const random = new Random(seed);
    const noise = Array.from({ length: 20 }, () => Math.exp(0.2 * Math.abs(random.normal())));
    const draws = resamples(5, 4, 1);
    const [a, b] = [1, slower].map((typical) => summarize(simulated(random, noise, typical), draws));
    if (!a || !b) throw new Error('two were simulated');
    return verdictOf(
      ratioOfMedians({ p50: b.latency.p50, medians: b.medians }, { p50: a.latency.p50, medians: a.medians })
        .interval,
    );
  };
  const trials = Array.from({ length: 24 }, (_, i) => i + 1);

  it('is seldom shown where there is none', () => {
    const wrong = trials.filter((seed) => trial(seed, 1) !== 'same').length;
    expect(wrong).toBeLessThanOrEqual(3);
  });
  it('of a fifth is nearly always shown, and the right way round', () => {
    const found = trials.map((seed) => trial(seed, 1.2));
    expect(found.filter((verdict) => verdict === 'slower').length).toBeGreaterThanOrEqual(21);
    expect(found).not.toContain('faster');
  });
  it('needs turns to be told', () => {
    const one = { p50: 1, medians: new Float64Array(0) };
    expect(ratioOfMedians(one, one)).toEqual({ ratio: 1, interval: null });
    expect(verdictOf(null)).toBe('unknown');
  });
});
