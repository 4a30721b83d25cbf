import { parsePattern } from '../../prune/methods.js';
import { PRUNE_METHODS, PRUNE_SCOPES, type PruneMethod } from '../../prune/names.js';
import { pruneOpenedModel } from '../../prune/prune.js';
import type { PruneReport } from '../../reports.js';
import { choice, flag, integer, number, parsed, patterns, size } from '../fields.js';
import { writingStep } from '../step-kind.js';

const FIELDS = {
  method: choice(
    'what goes: the smallest weights (magnitude, the default), all below a number, all but n of m neighbours, or matrices become products of thin ones (low-rank)',
    PRUNE_METHODS,
  ),
  sparsity: number('magnitude: share that becomes zero (default 0.5)', { max: 1 }),
  scope: choice(
    'magnitude: the share is of all weights (global, the default), or of each tensor',
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
  include: patterns('only tensors whose name matches one of these regular expressions'),
  exclude: patterns('no tensors whose name matches one of these regular expressions'),
  keep: patterns('weights whose name matches stay as they are'),
  targetSize: size('magnitude, low-rank: choose how much of every weight goes so that the file fits'),
  compress: flag('mlck (its default) and npz: store what is left, not the zeros'),
  externalData: flag('ONNX: weights in a file beside the graph'),
};

const ZEROS: ReadonlySet<PruneMethod> = new Set(['magnitude', 'threshold', 'n:m']);

export const prune = writingStep({
  kind: 'writes',
  id: 'prune',
  title: 'puts zeros in the place of the weights that matter least',
  fields: FIELDS,
  run: (opened, output, options, values, context) =>
    pruneOpenedModel(opened, output, { method: 'magnitude', ...options, ...values }, context),
  // Methods that put zeros into weights; others make new ones.
  composes: ({ method = 'magnitude', targetSize }) => ZEROS.has(method) && targetSize === undefined,
  takesPlans: true,
  figures(report) {
    const { method, sparsity, zeros, elements } = (report as PruneReport).prune;
    return method === 'low-rank' ? { method, elements } : { method, sparsity, zeros, elements };
  },
});
