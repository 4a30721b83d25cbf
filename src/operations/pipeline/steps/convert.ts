import { DTYPES, isDType } from '../../../core/dtype.js';
import { parseSubstitution } from '../../../transforms/rename.js';
import { convertOpened } from '../../convert.js';
import { withModel } from '../../open.js';
import { choice, file, flag, integer, list, parsed, patterns, size, text, texts } from '../fields.js';
import { writingStep } from '../step-kind.js';

const FIELDS = {
  dtype: choice(
    'number type of the float tensors, or of the selected ones',
    DTYPES.filter((name) => isDType(name) && name !== 'str'),
  ),
  shardSize: size('split the weights into files of at most this size'),
  externalData: flag('ONNX: weights in a file beside the graph'),
  graph: file('ONNX graph that takes these weights, by name'),
  opset: integer('ONNX: convert the graph to this operator set'),
  rename: list(
    parsed('substitution on tensor names, s/a/b/', (words) => {
      parseSubstitution(words);
      return words;
    }),
  ),
  prefix: text('put before every tensor name'),
  metadata: texts('metadata to set'),
  include: patterns('only tensors whose name matches: with dtype those that change, else those that stay'),
  exclude: patterns('no tensors whose name matches'),
  compress: flag('npz, mlck: store compressed'),
  allowLossy: flag('accept more loss than rounding'),
};

export const convert = writingStep({
  kind: 'writes',
  id: 'convert',
  title: 'another format, number type, operator set or names',
  fields: FIELDS,
  run: (opened, output, options, values, context) =>
    values.graph === undefined
      ? convertOpened(opened, undefined, output, { ...options, ...values }, context)
      : withModel(values.graph, context, (base) =>
          convertOpened(opened, base, output, { ...options, ...values }, context),
        ),
  composes: ({ graph }) => graph === undefined,
  takesPlans: () => true,
  addsGraph: ({ graph }) => graph !== undefined,
});
