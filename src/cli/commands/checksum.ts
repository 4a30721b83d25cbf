import type { Command } from 'commander';
import { MlserError } from '../../errors.js';
import type { ChecksumReport } from '../../operations/reports.js';
import { expectWork } from '../ahead.js';
import { jsonText } from '../json.js';
import { type WorkOptions, workOptions } from '../options.js';
import { checkWritable, writeText } from '../report-files.js';
import type { Session } from '../session.js';
import { type Answer, type Cli, examples, onAction } from '../verb.js';

interface Options extends WorkOptions {
  readonly tensors?: boolean;
  readonly output?: string;
  readonly check?: string;
  readonly force?: boolean;
}

export function checksum(program: Command, cli: Cli): void {
  const command = program
    .command('checksum [model...]')
    .summary('hash files, tensors and content; verify them')
    .description(
      'Hashes files, tensors and content (the same tensors have the same content id in any format).',
    )
    .option('--tensors', 'show the hash of every tensor')
    .option('--output <file>', 'write a manifest: .json with all hashes, else as sha256sum does')
    .option('--check <manifest>', 'verify against a manifest of ours or of sha256sum')
    .option('--force', 'replace an existing manifest');
  onAction<Options>(cli, workOptions(command), run);
  examples(
    command,
    'mlser checksum model.safetensors --tensors',
    'mlser checksum checkpoint.pt --output checkpoint.sha256.json',
  );
}

async function run(session: Session, models: readonly string[], options: Options): Promise<Answer> {
  if (options.check !== undefined) return verify(session, options.check, models);
  if (models.length === 0)
    throw new MlserError('E_USAGE', 'a model is missing', {
      hint: 'name one or more models, or a manifest with --check',
    });
  const { output } = options;
  const asJson = output !== undefined && /\.json$/i.test(output);
  if (output !== undefined) checkWritable([output], { force: options.force, models });
  await expectWork(session, models);
  const { checksumModel } = await import('../../operations/checksum.js');
  const { renderChecksum } = await import('../render/checksum.js');
  const reports: ChecksumReport[] = [];
  for (const model of models) reports.push(await checksumModel(model, session.context));
  const text = (): string =>
    reports.map((report) => renderChecksum(report, options.tensors ?? false)).join('');
  const document = models.length === 1 ? reports[0] : reports;
  if (output !== undefined) writeText(output, asJson ? jsonText(document) : text());
  if (session.json || output === undefined) await session.print(document, text);
  await session.warn(reports.flatMap((report) => report.findings));
  return 0;
}

async function verify(session: Session, manifest: string, models: readonly string[]): Promise<Answer> {
  const { checkManifest } = await import('../../operations/check-manifest.js');
  const report = await checkManifest(manifest, models, session.context);
  if (session.json || !session.quiet)
    await session.print(report, async (style) =>
      (await import('../render/checksum.js')).renderCheck(report, style),
    );
  return report.passed ? 0 : 1;
}
