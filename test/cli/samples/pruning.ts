import type { PruneReport } from '../../../src/operations/prune/report.js';
import { writeReport } from './writing.js';

export const prunedReport: PruneReport = {
  ...writeReport,
  command: 'prune',
  dryRun: false,
  format: 'mlck',
  prune: {
    ...{ method: 'n:m', asked: 0.5, sparsity: 0.5, zeros: 48, elements: 96 },
    ...{ denseBytes: 384, storedBytes: 320, reason: 'small tensors' },
    tensors: [
      {
        ...{ name: 'w', sparsity: 0.5, zeros: 32, elements: 64, denseBytes: 256, storedBytes: 192 },
        axis: 'axis 1 (outputs first)',
      },
      {
        ...{ name: 'v', sparsity: 0.5, zeros: 16, elements: 32, denseBytes: 128, storedBytes: 128 },
        ...{ axis: 'axis 0 (MatMul)', reason: 'too few zeros' },
      },
    ],
  },
  accuracyDrop: 0.01,
  frontier: [
    { bytes: 1000, loss: 0, levels: {} },
    { bytes: 700, loss: 0.01, levels: { '50 %': 2 } },
  ],
};

export const channelsReport: PruneReport = {
  ...writeReport,
  command: 'prune',
  prune: {
    ...{
      method: 'channels',
      scope: 'global',
      importance: 'l1',
      asked: 0.3,
      sparsity: 0,
      zeros: 0,
      elements: 96,
    },
    ...{ denseBytes: 512, storedBytes: 256, channels: { before: 24, after: 16 } },
    tensors: [
      {
        ...{ name: 'conv.weight', sparsity: 0, zeros: 0, elements: 64, denseBytes: 256, storedBytes: 128 },
        ...{
          channels: { before: 16, after: 8 },
          units: 16,
          members: ['conv.weight', 'conv.bias', 'fc.weight'],
        },
      },
      {
        ...{ name: 'fc.weight', sparsity: 0, zeros: 0, elements: 32, denseBytes: 128, storedBytes: 64 },
        ...{ channels: { before: 8, after: 8 }, units: 8, members: ['fc.weight'] },
        reason: 'it reaches the output "y"',
      },
    ],
  },
};

export const layersReport: PruneReport = {
  ...writeReport,
  command: 'prune',
  prune: {
    ...{ method: 'layers', asked: null, sparsity: 0, zeros: 0, elements: 128 },
    ...{ denseBytes: 512, storedBytes: 256, channels: { before: 2, after: 1 } },
    tensors: [0, 1].map((i) => ({
      ...{ name: `block ${i}`, sparsity: 0, zeros: 0, elements: 64, denseBytes: 256, storedBytes: i * 256 },
      ...{ channels: { before: 1, after: i }, members: [`layers.${i}.w`], influence: 0.125 * (i + 1) },
    })),
  },
};
