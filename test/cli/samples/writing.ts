import type { WriteReport } from '../../../src/operations/reports.js';
import { error, findings, validation } from './common.js';

export const writeReport: WriteReport = {
  command: 'convert',
  input: 'checkpoint.pt',
  output: 'model.safetensors',
  format: 'safetensors',
  dryRun: true,
  bytesIn: 8192,
  bytesOut: 4096,
  ratio: 2,
  files: [
    { name: 'model.safetensors', bytes: 2048 },
    { name: 'model-2.safetensors', bytes: 2048 },
  ],
  tensors: [
    {
      name: 'w',
      action: 'cast',
      dtypeIn: 'f32',
      dtypeOut: 'bf16',
      shape: [8, 8],
      bytesIn: 256,
      bytesOut: 128,
      error,
    },
    { name: 'b', action: 'copy', dtypeIn: 'f32', dtypeOut: 'f32', shape: [], bytesIn: 4, bytesOut: 4 },
  ],
  findings,
  validation,
  seconds: 0.5,
};
