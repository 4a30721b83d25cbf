import type { Command } from 'commander';
import { isMlserError, MlserError } from '../../errors.js';
import type { InspectReport } from '../../operations/reports.js';
import { expectWork } from '../ahead.js';
import {
  integerFlag,
  type ReportOptions,
  reportOptions,
  type SelectionOptions,
  selectionOptions,
  type WorkOptions,
  workOptions,
} from '../options.js';
import { checkWritable, sideFiles, writeSideFiles } from '../report-files.js';
import type { Session } from '../session.js';
import { type Answer, type Cli, examples, given, hasErrors, onAction } from '../verb.js';

interface Options extends WorkOptions, SelectionOptions, ReportOptions {
  readonly tensors?: boolean;
  readonly stats?: boolean;
  readonly histogram?: number | true;
  readonly hashes?: boolean;
  readonly graph?: boolean;
  readonly html?: string;
  readonly template?: string;
}

const BINS = 32;

export function inspect(program: Command, cli: Cli): void {
  const command = program
    .command('inspect <model...>')
    .summary('say what is inside, without loading it')
    .description('Says what is inside a model: types, shapes, sizes, metadata, graph, training state.')
    .option('--tensors', 'a line for every tensor')
    .option('--stats', 'min, max, mean, std, zeros, nan, inf, distinct, entropy (reads the data)')
    .addOption(integerFlag('--histogram [bins]', `distribution of values (default: ${BINS} bins)`))
    .option('--hashes', 'SHA-256 of every tensor, and the content id (reads the data)')
    .option('--graph', 'every operator of the graph')
    .option('--html <file>', 'also write a page with charts')
    .option('--template <file>', 'print a Jinja template filled in, for example model-card.md');
  onAction<Options>(cli, workOptions(reportOptions(selectionOptions(command, 're'))), run);
  examples(
    command,
    'mlser inspect model.onnx --graph',
    'mlser inspect checkpoint.pt model.safetensors --stats --json',
  );
}

async function run(session: Session, models: readonly string[], options: Options): Promise<Answer> {
  if (options.template !== undefined && session.json)
    throw new MlserError('E_USAGE', '--template and --json both want stdout', {
      hint: 'use --template with --report file.json',
    });
  const files = sideFiles(options);
  checkWritable(
    files.map((file) => file.path),
    { force: options.force, models },
  );
  const { inspectModel } = await import('../../operations/inspect.js');
  const { histogram } = options;
  const wanted = {
    ...given(options, 'stats', 'hashes', 'include', 'exclude'),
    ...(histogram === undefined ? {} : { histogram: histogram === true ? BINS : histogram }),
  };
  if (options.stats || options.hashes || histogram !== undefined) await expectWork(session, models);
  const reports: InspectReport[] = [];
  let failed = false;
  for (const model of models)
    try {
      const report = await inspectModel(model, wanted, session.context);
      if (!session.json) await show(session, report, options, reports.length > 0);
      reports.push(report);
    } catch (error) {
      // A person gets what there is of several models; a script gets one document, the error.
      if (session.json || models.length === 1 || !isMlserError(error)) throw error;
      await session.fail(error);
      failed = true;
    }
  const document = models.length === 1 ? reports[0] : reports;
  if (session.json) await session.print(document, () => '');
  await writeSideFiles(files, document, async () => {
    const { inspectPage } = await import('../html/inspect.js');
    return inspectPage(reports);
  });
  if (failed) return 2;
  return reports.some((report) => hasErrors(report.findings)) ? 1 : 0;
}

async function show(session: Session, report: InspectReport, options: Options, more: boolean): Promise<void> {
  const { template, graph } = options;
  const tensors = Boolean(options.tensors || options.stats || options.histogram || options.hashes);
  await session.print(report, async (style) => {
    if (template !== undefined) return (await import('../template.js')).renderTemplate(template, report);
    const { renderInspect } = await import('../render/inspect.js');
    return (more ? '\n' : '') + renderInspect(report, { tensors, graph: graph ?? false }, style);
  });
}
