import type { Command } from 'commander';
import {
  deviceOption,
  numberFlag,
  pairFlag,
  type ReportOptions,
  reportOptions,
  sizeFlag,
  type WorkOptions,
  wordFlag,
  workOptions,
} from '../options.js';
import { checkWritable, sideFiles, writeSideFiles } from '../report-files.js';
import type { Session } from '../session.js';
import { type Answer, type Cli, examples, given, hasErrors, onAction } from '../verb.js';

interface Options extends WorkOptions, ReportOptions {
  readonly reference?: string;
  readonly device: string;
  readonly referenceDevice?: string;
  readonly inputs?: string;
  readonly tolerance?: number;
  readonly map?: ReadonlyMap<string, string>;
  readonly window?: number;
  readonly all?: boolean;
}

export function trace(program: Command, cli: Cli): void {
  const command = program
    .command('trace <model>')
    .summary('the first node that goes wrong')
    .description(
      "Looks at what every node makes and names the first whose output differs from the reference's, or, without one, makes outputs NaN or infinite.",
    )
    .optionsGroup('Compared with:')
    .option('--reference <model>', 'the model that is right')
    .addOption(
      pairFlag('--map <value=other>', 'a value of the model is called other in the reference (repeatable)'),
    )
    .addOption(numberFlag('--tolerance <t>', 'values may differ by t + t·|value|'))
    .addOption(deviceOption())
    .addOption(
      wordFlag('--reference-device <name>', 'where the reference, or the model itself, runs (default: cpu)', [
        'auto',
        'cpu',
        'cuda',
        'webgpu',
        'dml',
        'coreml',
      ]),
    )
    .option('--inputs <feeds.npz>', 'named arrays to run with (default: generated)')
    .optionsGroup('How:')
    .addOption(sizeFlag('--window <size>', 'bytes of values that are looked at in one run (default: 64M)'))
    .option('--all', 'every value in the table, not only those around the first that differs');
  onAction<Options>(cli, workOptions(reportOptions(command)), run);
  examples(
    command,
    'mlser trace model.onnx --inputs test.npz',
    'mlser trace pruned.onnx --reference model.onnx --inputs test.npz',
  );
}

async function run(session: Session, [model = '']: readonly string[], options: Options): Promise<Answer> {
  const files = sideFiles(options);
  checkWritable(
    files.map((file) => file.path),
    { force: options.force, models: [model] },
  );
  const { traceModel } = await import('../../operations/trace/trace.js');
  const wanted = {
    ...given(options, 'reference', 'referenceDevice', 'inputs', 'tolerance', 'map'),
    ...(options.window === undefined ? {} : { windowBytes: options.window }),
    device: options.device,
  };
  const report = await traceModel(model, wanted, session.context);
  if (session.json || !session.quiet)
    await session.print(report, async (style) =>
      (await import('../render/trace.js')).renderTrace(report, { all: options.all ?? false }, style),
    );
  await session.warn(report.findings);
  await writeSideFiles(files, report, async () => (await import('../html/trace.js')).tracePage(report));
  return report.same && !hasErrors(report.findings) ? 0 : 1;
}
