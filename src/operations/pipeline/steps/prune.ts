import { parseLayers } from '../../prune/layers/layer-list.js';
import { parsePattern, putsZeros } from '../../prune/methods.js';
import { COMPENSATIONS, IMPORTANCES, PRUNE_METHODS, PRUNE_SCOPES } from '../../prune/names.js';
import { pruneOpenedModel } from '../../prune/prune.js';
import type { PruneReport } from '../../reports.js';
import { choice, file, flag, integer, number, parsed, patterns } from '../fields.js';
import { writingStep } from '../step-kind.js';

const FIELDS = {
  method: choice(
    'what goes: the smallest weights (magnitude, the default), all below a number, all but n of m neighbours, matrices become products of thin ones (low-rank), whole filters, neurons and heads (channels) or blocks (layers)',
    PRUNE_METHODS,
  ),
  sparsity: number(
    'magnitude: share that becomes zero (default 0.5); channels, layers: share that goes (0.3, 0.1)',
    { max: 1 },
  ),
  scope: choice(
    'magnitude, channels: the share is of all together (global, the default), or of each tensor',
    PRUNE_SCOPES,
  ),
  threshold: number('threshold: what is smaller than this goes'),
  pattern: parsed(
    'n:m: so many stay of so many neighbours along the summed axis (default 2:4)',
    parsePattern,
  ),
  rank: integer('low-rank: singular values that are kept'),
  energy: number('low-rank: as many singular values as have this share of the squares (default 0.95)', {
    max: 1,
  }),
  calibration: file('channels, layers: npz with samples of the inputs'),
  importance: choice('channels: what counts (default with samples: activation, else l1)', IMPORTANCES),
  compensate: choice('channels: how the next layers make up for what goes', COMPENSATIONS),
  multipleOf: integer('channels: as many stay as a multiple of this (default 8)'),
  layers: parsed('layers: numbers of the blocks that go, such as 3,5-7', parseLayers),
  include: patterns('only tensors whose name matches one of these regular expressions'),
  exclude: patterns('no tensors whose name matches one of these regular expressions'),
  keep: patterns('weights whose name matches stay as they are'),
  compress: flag('mlck (its default) and npz: store what is left, not the zeros'),
  externalData: flag('ONNX: weights in a file beside the graph'),
};

export const prune = writingStep({
  kind: 'writes',
  id: 'prune',
  title: 'puts zeros in the place of the weights that matter least',
  fields: FIELDS,
  run: (opened, output, options, values, context) =>
    pruneOpenedModel(opened, output, { method: 'magnitude', ...options, ...values }, context),
  composes: ({ method = 'magnitude' }) => putsZeros({ method }),
  figures(report) {
    const { method, sparsity, zeros, elements, channels } = (report as PruneReport).prune;
    if (channels) return { method, elements, before: channels.before, after: channels.after };
    return method === 'low-rank' ? { method, elements } : { method, sparsity, zeros, elements };
  },
});
