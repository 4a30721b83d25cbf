import type { Command } from 'commander';
import { MlserError } from '../../errors.js';
import type { ValidationLevel } from '../../validate/report.js';
import {
  deviceOption,
  integerFlag,
  levelOption,
  numberFlag,
  pairFlag,
  patternFlag,
  type ReportOptions,
  reportOptions,
  valueFlag,
  type WorkOptions,
  workOptions,
} from '../options.js';
import { checkWritable, sideFiles, writeSideFiles } from '../report-files.js';
import type { Session } from '../session.js';
import { type Answer, type Cli, examples, given, hasErrors, onAction } from '../verb.js';

interface Options extends WorkOptions, ReportOptions {
  readonly check?: string;
  readonly failCode?: number;
  readonly failText?: RegExp[];
  readonly timeout?: number;
  readonly maxChecks?: number;
  readonly reference?: string;
  readonly map?: ReadonlyMap<string, string>;
  readonly tolerance?: number;
  readonly device: string;
  readonly inputs?: string;
  readonly feedsOut?: string;
  readonly referenceOut?: string;
  readonly validate: ValidationLevel;
  readonly dryRun?: boolean;
  readonly sync?: boolean;
}

export function reduce(program: Command, cli: Cli): void {
  const command = program
    .command('reduce <input> <output>')
    .summary('the smallest part of a graph that still fails')
    .description(
      'Cuts a graph down to the smallest part that fails as the whole does: in the runtime (refused, crashes, not finite), against a reference, or by a command of yours.',
    )
    .optionsGroup('What failing is:')
    .option('--reference <model>', 'outputs differ from those of this model')
    .addOption(numberFlag('--tolerance <t>', 'outputs may differ by t + t·|value|'))
    .addOption(
      pairFlag('--map <value=other>', 'a value of the model is called other in the reference (repeatable)'),
    )
    .option(
      '--check <command>',
      'a shell command, {} being the path of the model and {feeds} an npz for its inputs: it fails by its exit code',
    )
    .addOption(valueFlag('--fail-code <n>', 'only this exit code is the failure', exitCode))
    .addOption(patternFlag('--fail-text <re>', 'only if the command, or the runtime, says this'))
    .addOption(numberFlag('--timeout <seconds>', 'for one check (default: 60, or 600 for the runtime)', '60'))
    .addOption(integerFlag('--max-checks <n>', 'stop after so many checks, with what has been found'))
    .addOption(deviceOption())
    .option('--inputs <feeds.npz>', 'named arrays to run with (default: generated)')
    .optionsGroup('Output and proof:')
    .option('--feeds-out <file.npz>', 'for the inputs of the part (default: beside it, where it needs some)')
    .option('--reference-out <file.onnx>', 'the same part of the reference')
    .addOption(levelOption('--validate <level>', ['none', 'structure', 'weights']).default('weights'))
    .option('--dry-run', 'find the part, write nothing')
    .option('--no-sync', 'do not wait for the disk');
  onAction<Options>(cli, workOptions(reportOptions(command)), run);
  examples(
    command,
    "mlser reduce model.onnx small.onnx --check '! grep -q MaxPool {}'",
    'mlser reduce pruned.onnx small.onnx --reference model.onnx --inputs test.npz',
  );
}

function exitCode(text: string): number {
  const code = Number(text);
  if (/^\d+$/.test(text) && code > 0 && code < 256) return code;
  throw new MlserError('E_USAGE', `${JSON.stringify(text)} is not an exit code of a failure`, {
    hint: 'write a number from 1 to 255',
  });
}

async function run(session: Session, paths: readonly string[], options: Options): Promise<Answer> {
  const [input = '', output = ''] = paths;
  const files = sideFiles(options);
  checkWritable(
    files.map((file) => file.path),
    { force: options.force, models: [input] },
  );
  const { reduceModel } = await import('../../operations/reduce/reduce.js');
  const [failText] = options.failText ?? [];
  const report = await reduceModel(
    input,
    output,
    {
      ...given(
        options,
        'check',
        'failCode',
        'maxChecks',
        'reference',
        'map',
        'tolerance',
        'inputs',
        'feedsOut',
      ),
      ...given(options, 'referenceOut', 'dryRun', 'sync', 'force'),
      ...(failText === undefined ? {} : { failText }),
      ...(options.timeout === undefined ? {} : { timeoutMs: options.timeout * 1000 }),
      ...{ device: options.device, validate: options.validate },
    },
    session.context,
  );
  if (session.json || !session.quiet)
    await session.print(report, async (style) =>
      (await import('../render/reduce.js')).renderReduce(report, style),
    );
  await session.warn(report.findings);
  await writeSideFiles(files, report, async () => (await import('../html/reduce.js')).reducePage(report));
  return report.validation.passed && !hasErrors(report.findings) ? 0 : 1;
}
