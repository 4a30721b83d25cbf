import type { Command } from 'commander';
import type { TargetSize } from '../../core/size.js';
import { COMPENSATIONS, IMPORTANCES, PRUNE_METHODS, PRUNE_SCOPES } from '../../operations/prune/names.js';
import type { PruneModelOptions } from '../../operations/prune/prune.js';
import {
  integerFlag,
  numberFlag,
  patternFlag,
  type SelectionOptions,
  selectionOptions,
  shareFlag,
  targetSizeFlag,
  type WritingOptions,
  wordFlag,
  writingOptions,
} from '../options.js';
import type { Session } from '../session.js';
import { type Answer, type Cli, examples, given, onAction } from '../verb.js';
import { written } from '../written.js';

interface PruneFlags extends WritingOptions, SelectionOptions {
  readonly method: PruneModelOptions['method'];
  readonly sparsity?: number;
  readonly scope?: NonNullable<PruneModelOptions['scope']>;
  readonly threshold?: number;
  readonly pattern?: string;
  readonly rank?: number;
  readonly energy?: number;
  readonly importance?: NonNullable<PruneModelOptions['importance']>;
  readonly compensate?: NonNullable<PruneModelOptions['compensate']>;
  readonly multipleOf?: number;
  readonly calibration?: string;
  readonly layers?: string;
  readonly keep?: RegExp[];
  readonly maxAccuracyDrop?: number;
  readonly targetSize?: TargetSize;
  readonly compress?: boolean;
  readonly externalData?: boolean;
}

export function prune(program: Command, cli: Cli): void {
  const command = program
    .command('prune <input> <output>')
    .summary('fewer numbers, with the loss measured')
    .description(
      'Puts zeros in the place of the weights that matter least, measures what that costs, and says what it saves.',
    )
    .optionsGroup('How:')
    .addOption(
      wordFlag(
        '--method <name>',
        'magnitude: the smallest; threshold: all below a number; n:m: all but n of m neighbours; low-rank: ONNX matrices and convolutions become two thin ones; channels: whole filters, neurons and heads of an ONNX graph; layers: whole blocks',
        PRUNE_METHODS,
      ).default('magnitude'),
    )
    .addOption(
      shareFlag(
        '--sparsity <share>',
        'magnitude: share that becomes zero (default 0.5); channels, layers: share that goes (default 0.3, 0.1)',
        '0.5',
      ),
    )
    .addOption(
      wordFlag(
        '--scope <scope>',
        'magnitude, channels: the share is of all together, global (default), or of each tensor',
        PRUNE_SCOPES,
      ),
    )
    .addOption(numberFlag('--threshold <x>', 'threshold: what is smaller than this goes', '1e-3'))
    .addOption(integerFlag('--rank <n>', 'low-rank: singular values that are kept, …'))
    .addOption(
      shareFlag('--energy <share>', '… or as many as have this share of the squares (default 0.95)', '0.95'),
    )
    .option('--pattern <n:m>', 'n:m: so many stay of so many neighbours along the summed axis (default 2:4)');
  command
    .option(
      '--calibration <npz>',
      'channels, layers: samples of the inputs, to choose and to make up for what goes',
    )
    .addOption(
      wordFlag(
        '--importance <name>',
        'channels: what counts, weights (l1, l2) or what reaches the next layers (activation, default with samples)',
        IMPORTANCES,
      ),
    )
    .addOption(
      wordFlag(
        '--compensate <what>',
        'channels: next layers make up for what goes, with their weights (default with samples) or biases',
        COMPENSATIONS,
      ),
    )
    .addOption(
      integerFlag(
        '--multiple-of <n>',
        'channels: as many stay as a multiple of this (default 8, or less to meet the share; with samples what saves time)',
      ),
    )
    .option('--layers <list>', 'layers: numbers of the blocks that go, such as 3,5-7');
  selectionOptions(command.optionsGroup('What:'), 're')
    .addOption(patternFlag('--keep <re>', 'weights whose name matches stay as they are (repeatable)'))
    .addOption(shareFlag('--max-accuracy-drop <x>', 'the accuracy (--labels) may sink by so much', '0.01'))
    .addOption(
      targetSizeFlag(
        '--target-size <size>',
        'choose how much of every weight goes so that the file fits: 5MB, 60%',
      ),
    )
    .optionsGroup('Output and proof:')
    .option('--compress', 'mlck (its default), npz: store what is left, not the zeros')
    .option('--no-compress', 'mlck: store zeros too')
    .option('--external-data', 'ONNX: weights in a file beside the graph');
  onAction<PruneFlags>(cli, writingOptions(command), run);
  examples(
    command,
    'mlser prune model.safetensors sparse.mlck --sparsity 0.5',
    'mlser prune model.onnx sparse.onnx --sparsity 0.3 --inputs test.npz --labels y',
  );
}

const run = (
  session: Session,
  [input = '', output = '']: readonly string[],
  options: PruneFlags,
): Promise<Answer> =>
  written(session, options, [input, output], async () => {
    const { pruneModel } = await import('../../operations/prune/prune.js');
    const { parsePattern } = await import('../../operations/prune/methods.js');
    const { parseLayers } = await import('../../operations/prune/layers/layer-list.js');
    const { method, pattern, layers, validate, device } = options;
    const wanted: PruneModelOptions = {
      ...given(
        options,
        'to',
        'force',
        'dryRun',
        'inputs',
        'labels',
        'tolerance',
        'sync',
        'include',
        'exclude',
      ),
      ...given(
        options,
        'sparsity',
        'scope',
        'threshold',
        'rank',
        'energy',
        'importance',
        'compensate',
        'multipleOf',
        'calibration',
        'keep',
        'maxAccuracyDrop',
        'targetSize',
        'compress',
        'externalData',
      ),
      ...(pattern === undefined ? {} : { pattern: parsePattern(pattern) }),
      ...(layers === undefined ? {} : { layers: parseLayers(layers) }),
      ...{ method, validate, device },
    };
    return pruneModel(input, output, wanted, session.context);
  });
