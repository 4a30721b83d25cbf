import type { ValidationReport } from '../../../src/validate/report.js';

/** What sample reports of several verbs have in common. */

export const SHA = 'ab'.repeat(32);

export const findings = [
  { code: 'DROPPED', severity: 'warning', subject: 'training', message: 'the training state is dropped' },
  { code: 'BROKEN', severity: 'error', subject: 'w', message: 'w is broken' },
  { code: 'NOTE', severity: 'info', subject: 'w', message: 'odd but legal' },
] as const;

export const error = { maxAbs: 0.5, maxRel: 0.25, rmse: 0.125, sqnrDb: 40, cosine: 0.999 };

export const outputs = [
  {
    name: 'logits',
    maxAbs: 1e-6,
    maxRel: 1e-3,
    rmse: 1e-7,
    cosine: 1,
    argmaxAgreement: 1,
    neededTolerance: 1e-6,
  },
  { name: 'hidden', maxAbs: 0, maxRel: 0, rmse: 0, cosine: null, neededTolerance: 0 },
];

export const validation: ValidationReport = {
  level: 'run',
  device: 'cpu',
  passed: false,
  structure: true,
  weights: { checked: 3, equal: 2, lossy: 1, worst: { name: 'w', maxAbs: 0.5, rmse: 0.125 } },
  run: {
    outputs,
    tolerance: 1e-4,
    feeds: 'test.npz',
    samples: 500,
    tensorsRead: 3,
    tensorsFed: 1,
    reference: 'model.onnx',
  },
  accuracy: { before: 0.97, after: 0.96, samples: 500 },
};
