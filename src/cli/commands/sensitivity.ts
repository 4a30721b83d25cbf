import type { Command } from 'commander';
import { deviceOption, patternFlag, reportOptions, selectionOptions, workOptions } from '../options.js';
import { type QuantizeFlags, schemeList, schemeOptions, wantedOf } from '../quantize-options.js';
import { checkWritable, sideFiles, writeSideFiles } from '../report-files.js';
import type { Session } from '../session.js';
import { type Answer, type Cli, examples, onAction } from '../verb.js';

export function sensitivity(program: Command, cli: Cli): void {
  const command = schemeOptions(
    program
      .command('sensitivity <input>')
      .summary('what quantizing each weight alone costs')
      .description(
        'Quantizes one weight after the other, runs the graph each time, and ranks what it costs.',
      ),
  ).optionsGroup('What and where:');
  selectionOptions(command, 're')
    .addOption(patternFlag('--keep <re>', 'weights whose name matches stay as they are (repeatable)'))
    .option('--inputs <feeds.npz>', 'named arrays to run with (default: generated)')
    .option('--labels <name>', 'array of class numbers in the feeds: accuracy')
    .addOption(deviceOption());
  onAction<QuantizeFlags>(cli, workOptions(reportOptions(command)), run);
  command.addHelpText('after', schemeList());
  examples(
    command,
    'mlser sensitivity model.onnx --scheme int4-weights --inputs test.npz --labels y',
    'mlser sensitivity model.onnx --scheme int8-weights --json',
  );
}

async function run(
  session: Session,
  [input = '']: readonly string[],
  options: QuantizeFlags,
): Promise<Answer> {
  const files = sideFiles(options);
  checkWritable(
    files.map((file) => file.path),
    { force: options.force, models: [input] },
  );
  const { sensitivityOf } = await import('../../operations/quantize/sensitivity.js');
  const report = await sensitivityOf(input, await wantedOf(options), session.context);
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
