import type { Command } from 'commander';
import { writingOptions } from '../options.js';
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
    ),
  )
    .optionsGroup('Output and proof:')
    .option('--external-data', 'ONNX: weights in a file beside the graph');
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
): Promise<Answer> =>
  written(session, options, [input, output], async () => {
    const { quantizeModel } = await import('../../operations/quantize/quantize.js');
    return quantizeModel(input, output, await wantedOf(options), session.context);
  });
