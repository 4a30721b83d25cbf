import { MlserError } from '../errors.js';
import type { PresetOptions } from '../operations/quantize/preset.js';
import type { QuantizeFlags } from './quantize-options.js';
import { given } from './verb.js';

const PRESETS = ['transformers.js'] as const;

/** Options that say what a preset says itself. */
const DECIDED: readonly (readonly [keyof QuantizeFlags, string])[] = [
  ['scheme', '--scheme'],
  ['to', '--to'],
  ['set', '--set'],
  ['targetSize', '--target-size'],
  ['block', '--block'],
  ['symmetric', '--symmetric'],
  ['asymmetric', '--asymmetric'],
  ['weights', '--weights'],
  ['activations', '--activations'],
  ['operators', '--operators'],
  ['calibration', '--calibration'],
  ['calibrationCache', '--calibration-cache'],
];

/** The options of a preset as the operation knows them. @throws E_USAGE. */
export function presetOf(options: QuantizeFlags): PresetOptions {
  const preset = PRESETS.find((name) => name === options.preset);
  if (!preset)
    throw new MlserError('E_USAGE', `--preset ${JSON.stringify(options.preset)} is not known`, {
      hint: `use ${PRESETS.join(', ')}`,
    });
  const [decided] = DECIDED.filter(([key]) => options[key] !== undefined).map(([, flag]) => flag);
  const clash = decided ?? (options.keepIo === false ? '--no-keep-io' : undefined);
  if (clash !== undefined)
    throw new MlserError('E_USAGE', `${clash} does not go with --preset, which decides that`, {
      hint: `leave it out, or write one variant with --scheme`,
    });
  const { perTensor, blockOp } = options;
  return {
    preset,
    ...given(options, 'force', 'dryRun', 'inputs', 'labels', 'tolerance', 'sync', 'include', 'exclude'),
    ...given(options, 'method', 'perChannel', 'reduceRange', 'keep', 'maxError', 'maxAccuracyDrop'),
    ...given(options, 'requantize', 'externalData', 'shardSize'),
    ...(perTensor ? { perChannel: false } : {}),
    ...(blockOp === undefined ? {} : { blockedOperators: blockOp }),
    validate: options.validate,
    device: options.device,
  };
}
