import { parseOverride } from '../../quantize/assign.js';
import { quantizeOpenedModel } from '../../quantize/quantize.js';
import { REFINEMENTS } from '../../quantize/refinements.js';
import { SCHEMES, schemeById } from '../../quantize/schemes.js';
import { LADDER } from '../../quantize/target-size.js';
import {
  choice,
  type Field,
  file,
  flag,
  integer,
  list,
  number,
  parsed,
  patterns,
  targetSize,
  text,
} from '../fields.js';
import { writingStep } from '../step-kind.js';

/** One scheme or several. */
function schemes(title: string): Field<string> {
  const known = SCHEMES.map(({ id }) => id);
  const one = choice(title, known);
  const whole = text(title);
  return {
    title,
    schema: { anyOf: [one.schema, { type: 'string', pattern: '^[a-z0-9-]+([+,][a-z0-9-]+)+$' }] },
    read(value, at) {
      const words = whole.read(value, at);
      for (const word of words.split(/[+,]/)) one.read(word, at);
      return words;
    },
  };
}

const FIELDS = {
  scheme: schemes('how numbers are rounded; a+b for both, with targetSize a,b for any of them'),
  calibration: file('npz with samples of the inputs, for ranges of activations and refine'),
  method: choice('how ranges are chosen (default minmax)', [
    'minmax',
    'percentile',
    'entropy',
    'mse',
  ] as const),
  refine: choice('better than nearest integers', REFINEMENTS),
  perChannel: flag('a scale for every output channel, or one for a tensor'),
  block: integer('elements that share a scale: 16 to 256; palettes: channels that share one'),
  symmetric: flag('zero points at zero, or where they fit'),
  weightSign: choice('signed or unsigned integers', ['signed', 'unsigned'] as const),
  activationBits: choice('int8-static: bits of activations (default 8)', [8, 16] as const),
  operators: flag(
    'operators that take integers, or QuantizeLinear and DequantizeLinear around those of floats',
  ),
  keepIo: flag('fp16, bf16: inputs and outputs of the graph stay f32 (default true)'),
  blockedOperators: list(text('fp16, bf16: operators that stay in f32')),
  reduceRange: flag('one bit less, for processors without 8-bit dot products'),
  include: patterns('only tensors whose name matches one of these regular expressions'),
  exclude: patterns('no tensors whose name matches one of these regular expressions'),
  keep: patterns('weights whose name matches stay as they are'),
  overrides: list(
    parsed('weights with another scheme: "fc.*=int4-weights,block=64", "head=keep"', parseOverride),
  ),
  maxError: number('weights with a larger relative error stay as they are'),
  targetSize: targetSize('choose a scheme for every weight so that the file fits'),
  requantize: flag('accept a model that is quantized already'),
  externalData: flag('ONNX: weights in a file beside the graph'),
};

export const quantize = writingStep({
  kind: 'writes',
  id: 'quantize',
  title: 'rounds weights, and activations where asked, to few bits',
  fields: FIELDS,
  anyOf: ['scheme', 'targetSize'],
  run: (opened, output, options, values, context) =>
    quantizeOpenedModel(
      opened,
      output,
      { ...options, ...values, scheme: values.scheme ?? LADDER.join(',') },
      context,
    ),
  // What looks at activations, or for what may be lost, runs the file.
  takesPlans: ({ scheme, calibration, refine, targetSize, overrides = [] }, { maxAccuracyDrop }) =>
    scheme !== undefined &&
    maxAccuracyDrop === undefined &&
    calibration === undefined &&
    refine === undefined &&
    targetSize === undefined &&
    [...scheme.split(/[+,]/), ...overrides.flatMap((one) => one.scheme ?? [])].every(
      (id) => !schemeById(id)?.runs,
    ),
  figures({ tensors }) {
    const rounded = tensors.filter(({ error }) => error !== undefined);
    const worst = Math.min(...rounded.flatMap(({ error }) => error?.sqnrDb ?? []));
    return {
      quantized: rounded.length,
      ...(Number.isFinite(worst) ? { worstSqnrDb: Number(worst.toFixed(2)) } : {}),
    };
  },
});
