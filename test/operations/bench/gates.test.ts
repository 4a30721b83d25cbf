import { describe, expect, it } from 'vitest';
import { gateFindings, judge } from '../../../src/operations/bench/gates.js';
import type { BenchComparison } from '../../../src/operations/bench/report.js';
import { benchReport } from '../../cli/sample-reports.js';

const { models } = benchReport;
const slower = (ratio: number, interval: BenchComparison['interval']): BenchComparison[] => [
  { path: 'b.onnx', against: 'a.onnx', device: 'cpu', batch: 4, ratio, interval, verdict: 'slower' },
];

describe('gates', () => {
  it('hold up to what is asked', () => {
    const asked = { maxP95: 0.9, maxLoad: 21, maxSize: 34_391, maxPeakMemory: 9e7, minAccuracy: 0.986 };
    const own = judge(models.slice(0, 1), [], asked);
    expect(own.map(({ gate, passed }) => [gate, passed])).toEqual([
      ['max-p95', true],
      ['max-load', true],
      ['max-size', true],
      ['max-peak-memory', true],
      ['min-accuracy', true],
    ]);
    const stricter = { maxP95: 0.89, maxLoad: 20, maxSize: 34_390, maxPeakMemory: 8e7, minAccuracy: 0.987 };
    expect(judge(models.slice(0, 1), [], stricter).map(({ passed }) => passed)).toEqual([
      false,
      false,
      false,
      false,
      false,
    ]);
  });

  it('fail where nothing was measured, and leave out models that failed', () => {
    const outcomes = judge(models, [], { minAccuracy: 0.9 });
    expect(outcomes).toEqual([
      { gate: 'min-accuracy', path: 'a.onnx', device: 'cpu', asked: 0.9, measured: 0.986, passed: true },
      { gate: 'min-accuracy', path: 'b.onnx', device: 'cpu', asked: 0.9, measured: null, passed: false },
    ]);
  });

  it('of a slowdown fail only if all of the interval is above', () => {
    const passed = (comparisons: BenchComparison[]): boolean[] =>
      judge(models, [undefined, comparisons], { maxSlowdown: 1.05 }).map((outcome) => outcome.passed);
    expect(passed(slower(1.2, [1.1, 1.3]))).toEqual([false]);
    expect(passed(slower(1.2, [1.0, 1.4]))).toEqual([true]);
    expect(passed(slower(1.2, null))).toEqual([false]);
    expect(passed(slower(1.04, [1.0, 1.1]))).toEqual([true]);
    // No batch that both took: nothing shows that it is not slower.
    expect(passed([])).toEqual([false]);
  });

  it('name the model, what was asked and what was measured', () => {
    const found = gateFindings(judge(models, [], { maxP95: 0.1, minAccuracy: 0.99 }));
    expect(found.map(({ severity, code, subject }) => [severity, code, subject])).toEqual([
      ['error', 'GATE_FAILED', 'a.onnx'],
      ['error', 'GATE_FAILED', 'a.onnx'],
      ['error', 'GATE_FAILED', 'b.onnx'],
      ['error', 'GATE_FAILED', 'b.onnx'],
    ]);
    expect(found[0]?.message).toBe(
      'a.onnx on cpu: the 95th percentile of latency is 0.9 ms, --max-p95 asks for at most 0.1 ms',
    );
    expect(found[1]?.message).toContain('the accuracy is 98.6 %, --min-accuracy asks for at least 99 %');
    expect(found[3]?.message).toContain('the accuracy was not measured');
  });
});
