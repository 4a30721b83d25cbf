import type { Command, Option } from 'commander';
import type { TargetSize } from '../core/size.js';
import { MlserError } from '../errors.js';
import type { Refinement } from '../graph/quantize/types.js';
import type { CalibrationMethod, QuantizeOptions } from '../operations/quantize/quantize.js';
import { REFINEMENT_LIST, REFINEMENTS } from '../operations/quantize/refinements.js';
import { SCHEMES } from '../operations/quantize/schemes.js';
import {
  integerFlag,
  listFlag,
  numberFlag,
  patternFlag,
  type SelectionOptions,
  selectionOptions,
  targetSizeFlag,
  valueFlag,
  type WritingOptions,
} from './options.js';
import { given } from './verb.js';

export interface QuantizeFlags extends WritingOptions, SelectionOptions {
  readonly scheme?: string;
  readonly preset?: string;
  readonly shardSize?: number;
  readonly calibration?: string;
  readonly method?: CalibrationMethod;
  readonly calibrationCache?: string;
  readonly refine?: Refinement;
  readonly perChannel?: boolean;
  readonly perTensor?: boolean;
  readonly block?: number;
  readonly symmetric?: boolean;
  readonly asymmetric?: boolean;
  readonly weights?: 'signed' | 'unsigned';
  readonly activations?: 8 | 16;
  readonly operators?: boolean;
  readonly keepIo?: boolean;
  readonly blockOp?: string[];
  readonly reduceRange?: boolean;
  readonly keep?: RegExp[];
  readonly maxError?: number;
  readonly maxAccuracyDrop?: number;
  readonly set?: string[];
  readonly targetSize?: TargetSize;
  readonly requantize?: boolean;
  readonly externalData?: boolean;
}

const word =
  <T extends string>(...known: readonly T[]) =>
  (text: string): T => {
    const found = known.find((one) => one === text);
    if (found !== undefined) return found;
    throw new MlserError('E_USAGE', `${JSON.stringify(text)} is not known`, {
      hint: `use one of ${known.join(', ')}`,
    });
  };

export const RANGE_METHODS = ['minmax', 'percentile', 'entropy', 'mse'] as const;

const rangesFlag = (): Option =>
  valueFlag(
    '--method <name>',
    'how ranges are chosen: minmax (default), percentile, entropy, mse',
    word(...RANGE_METHODS),
  );

/** How numbers are rounded: options of the verbs that quantize, on the way to an output or to a table. */
export const schemeOptions = (
  command: Command,
  method: Option = rangesFlag(),
  scheme = 'one of the list below, or both: a+b (--target-size: any of a,b)',
): Command =>
  command
    .optionsGroup('How:')
    .option('--scheme <name>', scheme)
    .option('--per-channel', 'a scale for every output channel')
    .option('--per-tensor', 'one scale for a tensor')
    .addOption(
      integerFlag('--block <n>', 'elements that share a scale: 16 to 256; palettes: channels that share one'),
    )
    .option('--symmetric', 'zero points at zero')
    .option('--asymmetric', 'zero points where they fit')
    .addOption(valueFlag('--weights <sign>', 'signed or unsigned integers', word('signed', 'unsigned')))
    .addOption(
      valueFlag('--activations <bits>', 'int8-static: 8 (default) or 16', (text) =>
        word('8', '16')(text) === '16' ? 16 : 8,
      ),
    )
    .option('--operators', 'int8-static: QLinear…; int4-weights: MatMulNBits (its default); nf4: MatMulBnb4')
    .option('--no-operators', 'QuantizeLinear and DequantizeLinear around float operators')
    .option('--no-keep-io', 'fp16, bf16: inputs and outputs of the graph change their type too')
    .addOption(listFlag('--block-op <op>', 'fp16, bf16: this operator stays in f32 (repeatable)'))
    .option('--reduce-range', 'one bit less, for processors without 8-bit dot products')
    .option('--calibration <data.npz>', 'samples of the inputs, for ranges of activations and --refine')
    .addOption(method)
    .addOption(
      valueFlag('--refine <name>', `better than nearest integers: ${REFINEMENT_LIST}`, word(...REFINEMENTS)),
    )
    .option('--calibration-cache <file.json>', 'keeps what calibration has seen, for the next run')
    .option('--requantize', 'accept a model that is quantized already');

/** Which weights, and how much it may cost. */
export const choiceOptions = (command: Command): Command =>
  selectionOptions(command.optionsGroup('What:'), 're')
    .addOption(patternFlag('--keep <re>', 'weights whose name matches stay as they are (repeatable)'))
    .addOption(
      listFlag('--set <re=scheme>', "another scheme: 'fc.*=int4-weights,block=64', 'head=keep' (repeatable)"),
    )
    .addOption(numberFlag('--max-error <x>', 'weights with a larger relative error stay as they are', '0.1'))
    .addOption(numberFlag('--max-accuracy-drop <x>', 'the accuracy (--labels) may sink by so much', '0.01'))
    .addOption(
      targetSizeFlag(
        '--target-size <size>',
        'choose a scheme for every weight so that the file fits: 5MB, 60%',
      ),
    );

/** The list of schemes, for the end of the help. */
export function schemeList(): string {
  const width = Math.max(...SCHEMES.map(({ id }) => id.length));
  const lines = SCHEMES.map(({ id, title }) => `  ${id.padEnd(width)}  ${title}`);
  return `\nSchemes:\n${lines.join('\n')}`;
}

/** The options as the operations know them. */
export async function wantedOf(options: QuantizeFlags): Promise<QuantizeOptions> {
  const { parseOverride } = await import('../operations/quantize/assign.js');
  const { LADDER } = await import('../operations/quantize/target-size.js');
  const { perTensor, asymmetric, weights, activations, blockOp, scheme, set } = options;
  if (scheme === undefined && options.targetSize === undefined)
    throw new MlserError('E_USAGE', '--scheme is missing', {
      hint: `use one of ${SCHEMES.map(({ id }) => id).join(', ')}, or --target-size`,
    });
  if (options.shardSize !== undefined)
    throw new MlserError('E_USAGE', '--shard-size goes with --preset', { hint: 'leave it out' });
  return {
    ...given(options, 'to', 'force', 'dryRun', 'inputs', 'labels', 'tolerance', 'sync', 'include', 'exclude'),
    ...given(options, 'calibration', 'method', 'perChannel', 'block', 'symmetric', 'operators', 'keepIo'),
    ...given(options, 'reduceRange', 'keep', 'maxError', 'maxAccuracyDrop', 'requantize', 'externalData'),
    ...given(options, 'targetSize', 'calibrationCache', 'refine'),
    ...(perTensor ? { perChannel: false } : {}),
    ...(asymmetric ? { symmetric: false } : {}),
    ...(weights === undefined ? {} : { weightSign: weights }),
    ...(activations === undefined ? {} : { activationBits: activations }),
    ...(blockOp === undefined ? {} : { blockedOperators: blockOp }),
    ...(set === undefined ? {} : { overrides: set.map(parseOverride) }),
    scheme: scheme ?? LADDER.join(','),
    validate: options.validate,
    device: options.device,
  };
}
