import type { Command } from 'commander';
import { MlserError } from '../../errors.js';
import type { CalibrationMethod, QuantizeOptions } from '../../operations/quantize/quantize.js';
import {
  integerFlag,
  listFlag,
  numberFlag,
  patternFlag,
  type SelectionOptions,
  selectionOptions,
  sizeFlag,
  valueFlag,
  type WritingOptions,
  writingOptions,
} from '../options.js';
import type { Session } from '../session.js';
import { type Answer, type Cli, examples, given, onAction } from '../verb.js';
import { written } from '../written.js';

export interface QuantizeFlags extends WritingOptions, SelectionOptions {
  readonly scheme?: string;
  readonly calibration?: string;
  readonly method?: CalibrationMethod;
  readonly calibrationCache?: string;
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
  readonly targetSize?: number;
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

/** Options of verbs that quantize, on the way to an output or to a table. */
export const schemeOptions = (command: Command): Command =>
  selectionOptions(command, 're')
    .option('--scheme <name>', 'how (see below; with --target-size it is chosen)')
    .option('--calibration <data.npz>', 'samples of the inputs, for ranges of activations')
    .addOption(
      valueFlag(
        '--method <name>',
        'how ranges are chosen: minmax (default), percentile, entropy, mse',
        word('minmax', 'percentile', 'entropy', 'mse'),
      ),
    )
    .option('--calibration-cache <file.json>', 'keeps what calibration has seen, for the next run')
    .option('--per-channel', 'a scale for every output channel')
    .option('--per-tensor', 'one scale for a tensor')
    .addOption(integerFlag('--block <n>', 'elements that share a scale: 16 to 256'))
    .option('--symmetric', 'zero points at zero')
    .option('--asymmetric', 'zero points where they fit')
    .addOption(valueFlag('--weights <sign>', 'signed or unsigned integers', word('signed', 'unsigned')))
    .addOption(
      valueFlag('--activations <bits>', '8 (default) or 16', (text) =>
        word('8', '16')(text) === '16' ? 16 : 8,
      ),
    )
    .option('--operators', 'operators on integers: QLinear…, MatMulNBits (int4-weights: default)')
    .option('--no-operators', 'QuantizeLinear and DequantizeLinear around float operators')
    .option('--no-keep-io', 'fp16, bf16: inputs and outputs of the graph change their type too')
    .addOption(listFlag('--block-op <op>', 'fp16, bf16: this operator stays in f32 (repeatable)'))
    .option('--reduce-range', 'one bit less, for processors without 8-bit dot products')
    .addOption(patternFlag('--keep <re>', 'weights whose name matches stay as they are (repeatable)'))
    .addOption(numberFlag('--max-error <x>', 'weights with a larger relative error stay as they are'))
    .addOption(numberFlag('--max-accuracy-drop <x>', 'the accuracy (--labels) may sink by so much'))
    .addOption(
      listFlag(
        '--set <re=scheme>',
        "another scheme for some, as 'fc.*=int4-weights,block=64' or 'head=keep'",
      ),
    )
    .addOption(sizeFlag('--target-size <size>', 'choose schemes weight by weight until the file fits'))
    .option('--requantize', 'accept a model that is quantized already');

export function quantize(program: Command, cli: Cli): void {
  const command = program
    .command('quantize <input> <output>')
    .summary('smaller numbers, with the loss measured')
    .description('Rounds weights, and activations where asked, to few bits, and measures what that costs.')
    .option('--external-data', 'ONNX: weights in a file beside the graph');
  onAction<QuantizeFlags>(cli, writingOptions(schemeOptions(command)), run);
  examples(
    command,
    'mlser quantize model.onnx int8.onnx --scheme int8-weights',
    'mlser quantize model.onnx dynamic.onnx --scheme int8-dynamic --inputs test.npz --labels y --max-accuracy-drop 0.005',
  );
}

/** The options as the operations know them. */
export async function wantedOf(options: QuantizeFlags): Promise<QuantizeOptions> {
  const { parseOverride } = await import('../../operations/quantize/assign.js');
  const { SCHEMES } = await import('../../operations/quantize/schemes.js');
  const { perTensor, asymmetric, weights, activations, blockOp, scheme, set } = options;
  if (scheme === undefined && options.targetSize === undefined)
    throw new MlserError('E_USAGE', '--scheme is missing', {
      hint: `use one of ${SCHEMES.map(({ id }) => id).join(', ')}, or --target-size`,
    });
  return {
    ...given(options, 'to', 'force', 'dryRun', 'inputs', 'labels', 'tolerance', 'sync', 'include', 'exclude'),
    ...given(options, 'calibration', 'method', 'perChannel', 'block', 'symmetric', 'operators', 'keepIo'),
    ...given(options, 'reduceRange', 'keep', 'maxError', 'maxAccuracyDrop', 'requantize', 'externalData'),
    ...given(options, 'targetSize', 'calibrationCache'),
    ...(perTensor ? { perChannel: false } : {}),
    ...(asymmetric ? { symmetric: false } : {}),
    ...(weights === undefined ? {} : { weightSign: weights }),
    ...(activations === undefined ? {} : { activationBits: activations }),
    ...(blockOp === undefined ? {} : { blockedOperators: blockOp }),
    ...(set === undefined ? {} : { overrides: set.map(parseOverride) }),
    scheme: scheme ?? 'int8-weights',
    validate: options.validate,
    device: options.device,
  };
}

const run = (
  session: Session,
  [input = '', output = '']: readonly string[],
  options: QuantizeFlags,
): Promise<Answer> =>
  written(session, options, [input, output], async () => {
    const { quantizeModel } = await import('../../operations/quantize/quantize.js');
    return quantizeModel(input, output, await wantedOf(options), session.context);
  });
