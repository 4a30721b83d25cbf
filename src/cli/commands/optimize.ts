import type { Command } from 'commander';
import { MlserError } from '../../errors.js';
import { LEVELS } from '../../graph/optimize/pass.js';
import { RUNTIME_LEVELS } from '../../operations/optimize/levels.js';
import type { OptimizeOptions } from '../../operations/optimize/optimize.js';
import {
  integerFlag,
  pairFlag,
  sizeFlag,
  type WritingOptions,
  wordFlag,
  wordsFlag,
  writingOptions,
} from '../options.js';
import type { Session } from '../session.js';
import { type Answer, type Cli, examples, given, onAction } from '../verb.js';
import { written } from '../written.js';

interface OptimizeFlags extends WritingOptions {
  readonly level?: NonNullable<OptimizeOptions['level']>;
  readonly passes?: readonly string[];
  readonly skip?: readonly string[];
  readonly list?: boolean;
  readonly foldLimit?: number;
  readonly externalData?: boolean;
  readonly extract?: string;
  readonly setDim?: ReadonlyMap<string, string>;
  readonly setShape?: ReadonlyMap<string, string>;
  readonly opset?: number;
  readonly irVersion?: number;
}

export function optimize(program: Command, cli: Cli): void {
  const command = program
    .command('optimize [input] [output]')
    .summary('fewer and better nodes, same results')
    .description(
      'Rewrites a graph so that it computes the same with fewer nodes, and proves that by running both.',
    )
    .optionsGroup('How:')
    .addOption(
      wordFlag(
        '--level <level>',
        'basic: the same numbers; extended (default): operators merged; all: those that only onnxruntime has, too; runtime: by its own optimiser, runtime-all: also for this processor',
        [...LEVELS, ...RUNTIME_LEVELS],
      ),
    )
    .addOption(wordsFlag('--passes <names>', 'only these passes (a,b,c)'))
    .addOption(wordsFlag('--skip <names>', 'all passes but these'))
    .option('--list', 'shows the passes')
    .addOption(sizeFlag('--fold-limit <size>', 'constants that folding makes are no larger (default 16MiB)'))
    .optionsGroup('What:')
    .option('--extract <inputs:outputs>', 'only the part between these values (a,b:y; :y from the inputs on)')
    .addOption(pairFlag('--set-dim <name=n>', 'a size for an open dimension, everywhere (repeatable)'))
    .addOption(pairFlag('--set-shape <input=1x3x224x224>', 'a shape for an input (repeatable)'))
    .addOption(integerFlag('--opset <n>', 'converts the graph to this version of the operators first'))
    .addOption(integerFlag('--ir-version <n>', 'the IR version of the output'))
    .optionsGroup('Output and proof:')
    .option('--external-data', 'weights in a file beside the graph');
  onAction<OptimizeFlags>(cli, writingOptions(command), run);
  examples(command, 'mlser optimize model.onnx fast.onnx', 'mlser optimize --list');
}

async function run(
  session: Session,
  [input, output]: readonly string[],
  options: OptimizeFlags,
): Promise<Answer> {
  if (options.list) {
    const { listPasses } = await import('../../operations/optimize/choose-passes.js');
    const { renderPasses } = await import('../render/optimize.js');
    await session.print(listPasses(), (style) => renderPasses(listPasses(), style));
    return 0;
  }
  if (input === undefined || output === undefined)
    throw new MlserError('E_USAGE', 'optimize: an input and an output are missing', {
      hint: 'mlser optimize model.onnx fast.onnx',
    });
  return written(session, options, [input, output], async () => {
    const { optimizeModel } = await import('../../operations/optimize/optimize.js');
    const { validate, device } = options;
    const wanted: OptimizeOptions = {
      ...given(options, 'to', 'force', 'dryRun', 'inputs', 'labels', 'tolerance', 'sync'),
      ...given(options, 'level', 'passes', 'skip', 'foldLimit', 'externalData'),
      ...given(options, 'extract', 'setDim', 'setShape', 'opset', 'irVersion'),
      ...{ validate, device },
    };
    return optimizeModel(input, output, wanted, session.context);
  });
}
