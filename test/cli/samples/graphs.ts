import type { OptimizeReport, PassList } from '../../../src/operations/optimize/report.js';
import type { ReduceReport } from '../../../src/operations/reduce/report.js';
import type { TraceReport } from '../../../src/operations/trace/report.js';
import { findings } from './common.js';
import { writeReport } from './writing.js';

export const optimizedReport: OptimizeReport = {
  ...writeReport,
  command: 'optimize',
  dryRun: false,
  format: 'onnx',
  optimize: {
    level: 'extended',
    passes: [
      { name: 'fold-constants', rewrites: 3 },
      { name: 'dead-code', rewrites: 7 },
    ],
    rounds: 2,
    ...{ nodesBefore: 34, nodesAfter: 27 },
    ops: { Constant: [7, 0], Gather: [1, 0] },
  },
  speed: { beforeMs: 2.5, afterMs: 1.25 },
};

export const passList: PassList = {
  command: 'optimize',
  passes: [{ name: 'dead-code', level: 'basic', summary: 'nodes that nothing takes go' }],
};

export const traceReport: TraceReport = {
  command: 'trace',
  path: 'wrong.onnx',
  reference: 'model.onnx',
  device: 'cpu',
  referenceDevice: 'cpu',
  feeds: 'test.npz',
  samples: 500,
  tolerance: 1e-4,
  passingCosine: 0.999,
  matched: { values: 2, of: 3, name: 1, map: 0, structure: 1, figures: 0 },
  values: [
    {
      ...{ name: 'a', node: 'Conv_0', op: 'Conv', dtype: 'f32', shape: [64, 8], nonFinite: 0 },
      counterpart: {
        ...{ name: 'a', by: 'name', maxAbs: 1e-7, maxRel: 0, rmse: 0, cosine: 1, neededTolerance: 0 },
        ...{ nonFinite: 0, same: true },
      },
    },
    { name: 'b', node: 'relu', op: 'Relu', dtype: 'f32', shape: [64, 8], nonFinite: 0 },
    {
      ...{ name: 'c', node: 'fc', op: 'Gemm', dtype: 'f32', shape: [64, 10], nonFinite: 2 },
      counterpart: {
        ...{ name: 'other', by: 'structure', maxAbs: Number.POSITIVE_INFINITY, maxRel: 2, rmse: 1 },
        ...{ cosine: 0.9, neededTolerance: Number.POSITIVE_INFINITY, nonFinite: 0, same: false },
      },
    },
  ],
  first: {
    ...{ kind: 'differs', value: 'c', node: 'fc', op: 'Gemm', blame: 'weight', between: ['fc', 'relu'] },
    inputs: [
      { name: 'b', kind: 'value' },
      { name: 'fc.weight', kind: 'weight', same: false, maxAbs: 0.5, cosine: 0.99 },
      { name: 'x', kind: 'input' },
    ],
  },
  same: false,
  findings,
  seconds: 1.25,
};

export const reduceReport: ReduceReport = {
  ...writeReport,
  command: 'reduce',
  dryRun: false,
  reduce: {
    failure: { kind: 'differs', text: '"logits" differs by up to 3' },
    ...{ nodesBefore: 12, nodesAfter: 1, checks: 7, minimal: true, proved: true },
    nodes: [{ name: '/conv3/Conv', op: 'Conv', inputs: ['h', 'conv3.weight', ''], outputs: ['y'] }],
    inputs: [{ name: 'h', dtype: 'f32', shape: ['batch', 16, null, 4] }],
    outputs: [{ name: 'y', dtype: 'f32', shape: null }],
    ...{ feeds: 'small.feeds.npz', reference: 'small-reference.onnx' },
    steps: [
      { stage: 'end', nodes: 6, fails: true },
      { stage: 'nodes', nodes: 1, fails: false },
    ],
  },
};
