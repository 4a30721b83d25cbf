import type { BenchReport, Roof } from '../../../src/operations/bench/report.js';
import { findings } from './common.js';

const roof: Roof = {
  ...{ ms: 0.25, share: 0.5, flops: 1e6, bytes: 4e5, intensity: 2.5, gflops: 4, gbps: 1.6 },
  ...{ attained: 0.25, bound: 'memory' },
};

const latency = {
  ...{ mean: 0.6, min: 0.4, p25: 0.45, p50: 0.5, p75: 0.55, p95: 0.9, p99: 1.5, max: 9 },
  intervals: { mean: [0.5, 0.7], p50: [0.49, 0.52], p95: [0.8, 1.2], p99: null },
  histogram: { min: 0.4, max: 1.5, counts: [5, 90, 4, 1] },
} as const;

export const benchReport: BenchReport = {
  command: 'bench',
  settings: {
    ...{ devices: ['cpu'], batches: [1, 8], runs: null, warmup: 10, processes: 5, threads: 2, seed: 1 },
    ...{ feeds: 'test.npz', method: 'bootstrap' },
  },
  machine: { cpu: 'a processor', cores: 2, platform: 'linux x64', node: 'v20.0.0' },
  models: [
    {
      ...{ path: 'a.onnx', device: 'cpu', status: 'measured', bytes: 34_391, parameters: 8162 },
      load: { ms: [20, 22], p50: 21, min: 20, max: 22 },
      memory: { baseline: 5e7, peak: 9e7, model: 4e7 },
      batches: [1, 8].map((batch) => ({
        ...{ batch, runs: 100, turns: 20, shapes: { x: [batch, 1, 8, 8] }, latency },
        throughput: { value: 1666, interval: [1428, 2000] },
      })),
      skipped: [],
      accuracy: { share: 0.986, right: 493, samples: 500, interval: [0.971, 0.993] },
      roofline: {
        ...{ batch: 1, runs: 100, peak: { flops: 3e11, bandwidth: 3e10 }, flops: 1e6, bytes: 4e5 },
        ms: { run: 0.6, operators: 0.5, rest: 0.1 },
        operators: [
          { op: 'Conv', nodes: 3, ...roof },
          { op: 'Odd', nodes: 1, ...roof, flops: null, intensity: null, gflops: null, bound: 'overhead' },
        ],
        nodes: [{ name: '/conv', op: 'Conv', shapes: ['float [1, 1, 8, 8]'], ...roof }],
      },
    },
    {
      ...{ path: 'b.onnx', device: 'cpu', status: 'measured', bytes: 46_286, parameters: 11_386 },
      batches: [
        {
          ...{ batch: 4, runs: 3, turns: 3, shapes: { x: [4, 1, 8, 8] }, latency },
          throughput: { value: 6666, interval: null },
        },
      ],
      skipped: [{ batch: 1, reason: 'the graph fixes its batch at 4' }],
    },
    {
      ...{ path: 'c.onnx', device: 'cpu', status: 'failed', batches: [], skipped: [] },
      error: { code: 'E_RUNTIME', message: 'onnxruntime says: no', details: { input: 'c.onnx' } },
    },
  ],
  comparisons: [
    {
      ...{ path: 'b.onnx', against: 'a.onnx', device: 'cpu', batch: 1, ratio: 0.8 },
      ...{ interval: [0.7, 0.9], verdict: 'faster' },
    },
    {
      ...{ path: 'b.onnx', against: 'a.onnx', device: 'cpu', batch: 8, ratio: 1.1 },
      ...{ interval: null, verdict: 'unknown' },
    },
  ],
  gates: [
    { gate: 'max-p95', path: 'a.onnx', device: 'cpu', asked: 10, measured: 0.9, passed: true },
    { gate: 'max-size', path: 'b.onnx', device: 'cpu', asked: 4e4, measured: 46_286, passed: false },
    { gate: 'min-accuracy', path: 'b.onnx', device: 'cpu', asked: 0.97, measured: null, passed: false },
  ],
  passed: false,
  findings,
  seconds: 6,
};
