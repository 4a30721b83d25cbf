import type { Command } from 'commander';
import { expectWork } from '../ahead.js';
import {
  deviceOption,
  numberFlag,
  patternFlag,
  type ReportOptions,
  reportOptions,
  type WorkOptions,
  workOptions,
} from '../options.js';
import { checkWritable, sideFiles, writeSideFiles } from '../report-files.js';
import type { Session } from '../session.js';
import { type Answer, type Cli, examples, given, onAction } from '../verb.js';

interface Options extends WorkOptions, ReportOptions {
  readonly tolerance?: number;
  readonly maxAbs?: number;
  readonly run?: boolean;
  readonly inputs?: string;
  readonly device: string;
  readonly ignore?: RegExp[];
  readonly strict?: boolean;
  readonly html?: string;
}

export function diff(program: Command, cli: Cli): void {
  const command = program
    .command('diff <a> <b>')
    .summary('compare structure, values and behaviour')
    .description('Compares two models of any two formats: names, shapes, values, metadata, graph, behaviour.')
    .addOption(numberFlag('--tolerance <t>', 'values may differ by t + t·|value|'))
    .addOption(numberFlag('--max-abs <x>', 'values may differ by x', '1e-3'))
    .option('--run', 'also run both graphs on the same inputs')
    .option('--inputs <feeds.npz>', 'named arrays to run with (default: generated)')
    .addOption(deviceOption())
    .addOption(patternFlag('--ignore <re>', 'leave out tensors whose name matches (repeatable)'))
    .option('--strict', 'differences of metadata count too')
    .option('--html <file>', 'also write a page with charts');
  onAction<Options>(cli, workOptions(reportOptions(command)), run);
  examples(
    command,
    'mlser diff checkpoint.pt model.safetensors',
    'mlser diff model.onnx model.safetensors --tolerance 1e-6 --json',
  );
}

async function run(session: Session, [a = '', b = '']: readonly string[], options: Options): Promise<Answer> {
  const files = sideFiles(options);
  checkWritable(
    files.map((file) => file.path),
    { force: options.force, models: [a, b] },
  );
  await expectWork(session, [a, b]);
  const { diffModels } = await import('../../operations/diff.js');
  const wanted = given(options, 'tolerance', 'maxAbs', 'run', 'inputs', 'device', 'ignore', 'strict');
  const report = await diffModels(a, b, wanted, session.context);
  if (session.json || !session.quiet)
    await session.print(report, async (style) =>
      (await import('../render/diff.js')).renderDiff(report, style),
    );
  await writeSideFiles(files, report, async () => (await import('../html/diff.js')).diffPage(report));
  return report.same ? 0 : 1;
}
