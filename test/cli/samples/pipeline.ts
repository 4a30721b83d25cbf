import type { PipelineReport } from '../../../src/operations/pipeline/report.js';
import { findings, validation } from './common.js';
import { quantizeReport } from './quantizing.js';
import { writeReport } from './writing.js';

export const pipelineReport: PipelineReport = {
  ...writeReport,
  command: 'pipeline',
  dryRun: false,
  recipe: { file: 'edge.json', name: 'for small devices' },
  steps: [
    {
      ...{ step: 1, do: 'prune', name: 'half', outcome: 'kept', bytesIn: 1000, bytesOut: 1000 },
      ...{ figures: { method: 'magnitude', sparsity: 0.5 }, validation, findings, seconds: 0.5 },
    },
    {
      ...{ step: 2, do: 'quantize', outcome: 'failed', bytesIn: 1000, bytesOut: 250 },
      ...{ figures: { quantized: 3 }, validation, findings, seconds: 0.25 },
    },
    {
      step: 3,
      do: 'meta',
      outcome: 'waiting',
      bytesIn: null,
      bytesOut: null,
      figures: {},
      findings,
      seconds: 0,
    },
  ],
  failedStep: 2,
  speed: quantizeReport.speed!,
  work: '.edge.onnx.pipeline',
  accuracyDrop: 0.01,
};
