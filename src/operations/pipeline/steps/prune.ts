import { parsePattern } from '../../prune/methods.js';
import { COMPENSATIONS, IMPORTANCES, PRUNE_METHODS, PRUNE_SCOPES } from '../../prune/names.js';
import { pruneOpenedModel } from '../../prune/prune.js';
import type { PruneReport } from '../../prune/report.js';
import { choice, file, flag, integer, list, number, parsed, patterns, targetSize } from '../fields.js';
import { writingStep } from '../step-kind.js';

const FIELDS = {
  method: choice(
    'what goes: the smallest weights (magnitude, the default), all below a number, all but n of m neighbours, whole channels or layers; low-rank: matrices become products of thin ones',
    PRUNE_METHODS,
  ),
  sparsity: number(
    'magnitude: share that becomes zero (default 0.5); channels, layers: share that goes (0.3, 0.1)',
    { max: 1 },
  ),
  calibration: file(
    'channels, layers: npz with samples of the inputs, to choose and to make up for what goes',
  ),
  importance: choice('channels: what counts (default l1, with samples activation)', IMPORTANCES),
  compensate: choice('channels: how next layers make up for what goes', COMPENSATIONS),
  multipleOf: integer(
    'channels: as many stay as a multiple of this (default 8; with samples as the runtime likes it)',
  ),
  layers: list(integer('layers: numbers of the blocks that go, from 0', 0)),
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
  targetSize: targetSize('magnitude, low-rank: choose how much of every weight goes so that the file fits'),
  compress: flag('mlck (its default) and npz: store what is left, not the zeros'),
  externalData: flag('ONNX: weights in a file beside the graph'),
};

const ZEROS: ReadonlySet<string> = new Set(['magnitude', 'threshold', 'n:m']);

export const prune = writingStep({
  kind: 'writes',
  id: 'prune',
  title: 'puts zeros in the place of the weights that matter least',
  fields: FIELDS,
  run: (opened, output, options, values, context) =>
    pruneOpenedModel(opened, output, { method: 'magnitude', ...options, ...values }, context),
  // Methods that put zeros into weights; others make new ones.
  composes: ({ method = 'magnitude', targetSize }) => ZEROS.has(method) && targetSize === undefined,
  takesPlans: ({ method = 'magnitude' }) => ZEROS.has(method),
  figures(report) {
    const { method, sparsity, zeros, elements, channels } = (report as PruneReport).prune;
    if (ZEROS.has(method)) return { method, sparsity, zeros, elements };
    return channels
      ? { method, channelsBefore: channels.before, channelsAfter: channels.after }
      : { method, elements };
  },
});
