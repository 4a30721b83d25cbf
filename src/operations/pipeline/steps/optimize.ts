import { LEVELS } from '../../../graph/optimize/pass.js';
import { listPasses } from '../../optimize/choose-passes.js';
import { optimizeOpened } from '../../optimize/optimize.js';
import type { OptimizeReport } from '../../optimize/report.js';
import { choice, flag, list, size } from '../fields.js';
import { writingStep } from '../step-kind.js';

const names = listPasses().passes.map(({ name }) => name);

const FIELDS = {
  level: choice(
    'basic: the same numbers; extended (the default): operators merged; all: those that only onnxruntime has, too',
    LEVELS,
  ),
  passes: list(choice('only these passes', names)),
  skip: list(choice('all passes but these', names)),
  foldLimit: size('constants that folding makes are no larger (default 16MiB)'),
  externalData: flag('ONNX: weights in a file beside the graph'),
};

export const optimize = writingStep({
  kind: 'writes',
  id: 'optimize',
  title: 'fewer and better nodes that compute the same',
  fields: FIELDS,
  run: (opened, output, options, values, context) =>
    optimizeOpened(opened, output, { ...options, ...values }, context),
  figures(report) {
    const { nodesBefore, nodesAfter } = (report as OptimizeReport).optimize;
    return { nodesBefore, nodesAfter };
  },
});
