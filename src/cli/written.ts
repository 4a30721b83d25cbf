import type { WriteReport } from '../operations/reports.js';
import { expectWork } from './ahead.js';
import type { ReportOptions } from './options.js';
import { checkWritable, sideFiles, writeSideFiles } from './report-files.js';
import type { Session } from './session.js';
import { type Answer, hasErrors } from './verb.js';

/** The end of every verb that writes a model: its report on stdout, warnings on stderr, `--report` files. */
export async function written(
  session: Session,
  options: ReportOptions,
  models: readonly string[],
  work: () => Promise<WriteReport>,
): Promise<Answer> {
  const files = sideFiles(options);
  checkWritable(
    files.map((file) => file.path),
    { force: options.force, models },
  );
  await expectWork(session, models);
  const report = await work();
  if (session.json || !session.quiet)
    await session.print(report, async (style) =>
      (await import('./render/write.js')).renderWrite(report, style),
    );
  await session.warn(report.findings);
  await writeSideFiles(files, report, async () => (await import('./html/write.js')).writePage(report));
  return report.validation.passed && !hasErrors(report.findings) ? 0 : 1;
}
