import { LEVELS } from '../../../graph/optimize/pass.js';
import { listPasses } from '../../optimize/choose-passes.js';
import { RUNTIME_LEVELS } from '../../optimize/levels.js';
import { optimizeOpened } from '../../optimize/optimize.js';
import type { OptimizeReport } from '../../optimize/report.js';
import { choice, flag, integer, list, size, texts } from '../fields.js';
import { writingStep } from '../step-kind.js';

const names = listPasses().passes.map(({ name }) => name);

// A part alone (`extract`) has other inputs and outputs than what the pipeline holds it against.
const FIELDS = {
  level: choice(
    'basic: the same numbers; extended (the default): operators merged; all: those that only onnxruntime has, too; runtime, runtime-all: by its own optimiser',
    [...LEVELS, ...RUNTIME_LEVELS],
  ),
  passes: list(choice('only these passes', names)),
  skip: list(choice('all passes but these', names)),
  foldLimit: size('constants that folding makes are no larger (default 16MiB)'),
  setDim: texts('a size for each of these open dimensions, everywhere: { "batch": "1" }'),
  setShape: texts('a shape for each of these inputs: { "x": "1x3x224x224" }'),
  opset: integer('converts the graph to this version of the operators first'),
  irVersion: integer('the IR version of the output'),
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
