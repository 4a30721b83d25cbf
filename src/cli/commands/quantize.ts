import type { Command } from 'commander';
import { sizeFlag, writingOptions } from '../options.js';
import {
  choiceOptions,
  type QuantizeFlags,
  schemeList,
  schemeOptions,
  wantedOf,
} from '../quantize-options.js';
import type { Session } from '../session.js';
import { type Answer, type Cli, examples, onAction } from '../verb.js';
import { written } from '../written.js';

export function quantize(program: Command, cli: Cli): void {
  const command = choiceOptions(
    schemeOptions(
      program
        .command('quantize <input> <output>')
        .summary('smaller numbers, with the loss measured')
        .description(
          'Rounds weights, and activations where asked, to few bits, and measures what that costs.',
        ),
    ).option('--preset <name>', 'transformers.js: all that it loads, in the folder <output>'),
  )
    .optionsGroup('Output and proof:')
    .option('--external-data', 'ONNX: weights in a file beside the graph')
    .addOption(sizeFlag('--shard-size <size>', 'with --preset: external data in files of so much (2GB)'));
  onAction<QuantizeFlags>(cli, writingOptions(command), run);
  command.addHelpText('after', schemeList());
  examples(
    command,
    'mlser quantize model.onnx int8.onnx --scheme int8-weights',
    'mlser quantize model.onnx small.onnx --scheme int4-weights --inputs test.npz --labels y',
  );
}

const run = (
  session: Session,
  [input = '', output = '']: readonly string[],
  options: QuantizeFlags,
): Promise<Answer> => (options.preset === undefined ? one : every)(session, [input, output], options);

const one = (
  session: Session,
  [input, output]: readonly [string, string],
  options: QuantizeFlags,
): Promise<Answer> =>
  written(session, options, [input, output], async () => {
    const { quantizeModel } = await import('../../operations/quantize/quantize.js');
    return quantizeModel(input, output, await wantedOf(options), session.context);
  });

const every = async (
  session: Session,
  names: readonly [string, string],
  options: QuantizeFlags,
): Promise<Answer> => (await import('../preset.js')).preset(session, names, options);
