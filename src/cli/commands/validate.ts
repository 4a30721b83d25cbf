import type { Command } from 'commander';
import type { ValidationLevel } from '../../validate/report.js';
import {
  deviceOption,
  levelOption,
  numberFlag,
  type ReportOptions,
  reportOptions,
  type WorkOptions,
  workOptions,
} from '../options.js';
import { checkWritable, sideFiles, writeSideFiles } from '../report-files.js';
import type { Session } from '../session.js';
import { type Answer, type Cli, examples, given, hasErrors, onAction } from '../verb.js';

interface Options extends WorkOptions, ReportOptions {
  readonly level: ValidationLevel;
  readonly device: string;
  readonly reference?: string;
  readonly inputs?: string;
  readonly expected?: string;
  readonly labels?: string;
  readonly tolerance?: number;
}

export function validate(program: Command, cli: Cli): void {
  const command = program
    .command('validate <model>')
    .summary('prove that a model is sound and runs')
    .description('Proves that a model is sound: its structure, its weights, and that the runtime runs it.')
    .addOption(levelOption('--level <level>', ['structure', 'weights', 'run']))
    .option('--reference <model>', 'another model that must behave the same')
    .option('--inputs <feeds.npz>', 'named arrays to run with (default: generated)')
    .option('--expected <out.npz>', 'named arrays that the outputs must equal')
    .option('--labels <name>', 'array of class numbers in the feeds: report accuracy')
    .addOption(numberFlag('--tolerance <t>', 'outputs may differ by t + t·|value|'))
    .addOption(deviceOption());
  onAction<Options>(cli, workOptions(reportOptions(command)), run);
  examples(
    command,
    'mlser validate model.onnx --inputs test.npz --labels y',
    'mlser validate model.safetensors --level weights',
  );
}

async function run(session: Session, [model = '']: readonly string[], options: Options): Promise<Answer> {
  const files = sideFiles(options);
  checkWritable(
    files.map((file) => file.path),
    { force: options.force, models: [model] },
  );
  const { validateFile } = await import('../../operations/validate.js');
  const wanted = {
    ...given(options, 'reference', 'inputs', 'expected', 'labels', 'tolerance'),
    level: options.level,
    device: options.device,
  };
  const report = await validateFile(model, wanted, session.context);
  if (session.json || !session.quiet)
    await session.print(report, async (style) =>
      (await import('../render/validate.js')).renderValidate(report, style),
    );
  await writeSideFiles(files, report, async () => (await import('../html/validate.js')).validatePage(report));
  return report.passed && !hasErrors(report.findings) ? 0 : 1;
}
