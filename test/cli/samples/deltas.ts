import type {
  DeltaAddReport,
  DeltaCreateReport,
  DeltaLogReport,
  DeltaPruneReport,
  DeltaVerifyReport,
} from '../../../src/operations/delta/report.js';
import { findings, SHA } from './common.js';
import { writeReport } from './writing.js';

export const deltaReport: DeltaCreateReport = {
  ...writeReport,
  command: 'delta create',
  output: 'step-200.mlck',
  format: 'mlck',
  dryRun: false,
  tensors: writeReport.tensors.map((entry) => ({ ...entry, action: 'delta' })),
  base: { content: SHA },
  target: { content: SHA },
  changedTensors: 2,
  changedFraction: 0.25,
  codecs: {
    base: { tensors: 1, bytesIn: 1024, bytesOut: 0 },
    residual: { tensors: 2, bytesIn: 256, bytesOut: 100 },
    twin: { tensors: 1, bytesIn: 0, bytesOut: 0 },
  },
  depth: 3,
  tensorBytes: 8192,
  lossy: 'weights int8-delta, optimizer topk=1%',
};

export const addReport: DeltaAddReport = {
  ...deltaReport,
  command: 'delta add',
  base: null,
  run: 'runs/exp1',
  name: 'step-200',
  step: 200,
  keyframe: true,
  depth: 0,
};

export const verifyReport: DeltaVerifyReport = {
  command: 'delta verify',
  path: 'runs/exp1',
  passed: false,
  checks: [
    { name: 'step-180', ok: true, content: SHA },
    {
      name: 'step-200',
      ok: false,
      content: null,
      error: { code: 'E_INTEGRITY', message: 'step-200.mlck: chunk 0 of tensor "w" is damaged' },
    },
  ],
  findings,
  seconds: 0.5,
};

export const logReport: DeltaLogReport = {
  command: 'delta log',
  path: 'runs/exp1',
  entries: [
    {
      ...{ name: 'step-180', step: 180, file: 'step-180.mlck', content: SHA, base: null, depth: 0 },
      ...{ bytes: 4096, tensorBytes: 8192, ratio: 2 },
    },
    {
      ...{ name: 'later', step: null, file: 'later.mlck', content: null, base: SHA, depth: 1 },
      ...{ bytes: 1024, tensorBytes: 8192, ratio: 8 },
    },
  ],
  bytes: 5120,
  tensorBytes: 16_384,
  ratio: 3.2,
  findings,
};

export const pruneReport: DeltaPruneReport = {
  command: 'delta prune',
  path: 'runs/exp1',
  dryRun: true,
  kept: ['step-200'],
  dropped: Array.from({ length: 10 }, (_, i) => `step-${i}`),
  rewritten: ['step-200'],
  bytesIn: 8192,
  bytesOut: 4096,
  findings,
};
