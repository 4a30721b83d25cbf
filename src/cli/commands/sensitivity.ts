import type { Command } from 'commander';
import { MlserError } from '../../errors.js';
import type { PruneModelOptions } from '../../operations/prune/prune.js';
import type { SensitivityReport } from '../../operations/quantize/report.js';
import {
  deviceOption,
  integerFlag,
  numberFlag,
  patternFlag,
  reportOptions,
  selectionOptions,
  wordFlag,
  workOptions,
} from '../options.js';
import {
  type QuantizeFlags,
  RANGE_METHODS,
  schemeList,
  schemeOptions,
  wantedOf,
} from '../quantize-options.js';
import { checkWritable, sideFiles, writeSideFiles } from '../report-files.js';
import type { Session } from '../session.js';
import { type Answer, type Cli, examples, given, onAction } from '../verb.js';

/** Methods of pruning that can be asked for one weight alone. */
const PRUNED = ['magnitude', 'threshold', 'n:m', 'low-rank', 'channels', 'layers'] as const;

interface SensitivityFlags extends Omit<QuantizeFlags, 'method'> {
  readonly method?: (typeof PRUNED)[number] | (typeof RANGE_METHODS)[number];
  readonly sparsity?: number;
  readonly threshold?: number;
  readonly pattern?: string;
  readonly rank?: number;
  readonly energy?: number;
}

export function sensitivity(program: Command, cli: Cli): void {
  const command = schemeOptions(
    program
      .command('sensitivity <input>')
      .summary('what quantizing or pruning each weight alone costs')
      .description(
        'Quantizes (--scheme) or prunes (--method) one weight after the other, runs the graph each time, and ranks what it costs.',
      ),
    wordFlag(
      '--method <name>',
      'pruning: magnitude, threshold, n:m, low-rank, channels, layers; with --scheme, how ranges are chosen: minmax, percentile, …',
      [...PRUNED, ...RANGE_METHODS],
    ),
    'quantizing: one of the list below, or both: a+b',
  )
    .optionsGroup('How, with a method of pruning:')
    .addOption(
      numberFlag('--sparsity <share>', 'magnitude, channels: share that goes (default 0.5, 0.3)', '0.5'),
    )
    .addOption(numberFlag('--threshold <x>', 'threshold: what is smaller than this goes', '1e-3'))
    .option('--pattern <n:m>', 'n:m: so many stay of so many neighbours (default 2:4)')
    .addOption(integerFlag('--rank <n>', 'low-rank: singular values that are kept, …'))
    .addOption(
      numberFlag('--energy <share>', '… or as many as have this share of the squares (default 0.95)', '0.95'),
    )
    .optionsGroup('What and where:');
  selectionOptions(command, 're')
    .addOption(patternFlag('--keep <re>', 'weights whose name matches stay as they are (repeatable)'))
    .option('--inputs <feeds.npz>', 'named arrays to run with (default: generated)')
    .option('--labels <name>', 'array of class numbers in the feeds: accuracy')
    .addOption(deviceOption());
  onAction<SensitivityFlags>(cli, workOptions(reportOptions(command)), run);
  command.addHelpText('after', schemeList());
  examples(
    command,
    'mlser sensitivity model.onnx --scheme int4-weights --inputs test.npz --labels y',
    'mlser sensitivity model.onnx --method magnitude --sparsity 0.5 --json',
  );
}

/** Of a method of pruning, or of a scheme. */
async function reportOf(
  session: Session,
  input: string,
  options: SensitivityFlags,
): Promise<SensitivityReport> {
  const { method, scheme, ...rest } = options;
  const pruned = PRUNED.find((known) => known === method);
  if (pruned === undefined) {
    if (scheme === undefined)
      throw new MlserError('E_USAGE', '--scheme or a --method of pruning is missing', {
        hint: `quantizing: --scheme int8-weights; pruning: --method ${PRUNED.join(', ')}`,
      });
    const ranges = RANGE_METHODS.find((known) => known === method);
    const { sensitivityOf } = await import('../../operations/quantize/sensitivity.js');
    const flags = {
      ...rest,
      ...given(options, 'scheme'),
      ...(ranges === undefined ? {} : { method: ranges }),
    };
    return sensitivityOf(input, await wantedOf(flags), session.context);
  }
  if (scheme !== undefined)
    throw new MlserError('E_USAGE', `--scheme quantizes, --method ${pruned} prunes`, {
      hint: 'give one of them',
    });
  const { pruneSensitivity } = await import('../../operations/prune/sensitivity.js');
  const { parsePattern } = await import('../../operations/prune/methods.js');
  const wanted: PruneModelOptions = {
    ...given(options, 'inputs', 'labels', 'include', 'exclude', 'keep', 'calibration'),
    ...given(options, 'sparsity', 'threshold', 'rank', 'energy'),
    ...(options.pattern === undefined ? {} : { pattern: parsePattern(options.pattern) }),
    ...{ method: pruned, validate: 'run', device: options.device },
  };
  return pruneSensitivity(input, wanted, session.context);
}

async function run(
  session: Session,
  [input = '']: readonly string[],
  options: SensitivityFlags,
): Promise<Answer> {
  const files = sideFiles(options);
  checkWritable(
    files.map((file) => file.path),
    { force: options.force, models: [input] },
  );
  const report = await reportOf(session, input, options);
  if (session.json || !session.quiet)
    await session.print(report, async (style) =>
      (await import('../render/sensitivity.js')).renderSensitivity(report, style),
    );
  await session.warn(report.findings);
  await writeSideFiles(files, report, async () =>
    (await import('../html/sensitivity.js')).sensitivityPage(report),
  );
  return 0;
}
