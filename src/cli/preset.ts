import type { Finding } from '../errors.js';
import type { PresetReport } from '../operations/quantize/report.js';
import { presetOf } from './preset-options.js';
import type { QuantizeFlags } from './quantize-options.js';
import { checkWritable, sideFiles, writeSideFiles } from './report-files.js';
import type { Session } from './session.js';
import { type Answer, hasErrors } from './verb.js';

/** `quantize --preset`: a model in every variant that a client loads. */
export async function preset(
  session: Session,
  [input, output]: readonly [string, string],
  options: QuantizeFlags,
): Promise<Answer> {
  const files = sideFiles(options);
  checkWritable(
    files.map((file) => file.path),
    { force: options.force, models: [input, output] },
  );
  const { quantizePreset } = await import('../operations/quantize/preset.js');
  const report = await quantizePreset(input, output, presetOf(options), session.context);
  if (session.json || !session.quiet)
    await session.print(report, async (style) =>
      (await import('./render/preset.js')).renderPreset(report, style),
    );
  await session.warn(ofVariants(report));
  await writeSideFiles(files, report, async () => (await import('./html/preset.js')).presetPage(report));
  const failed = report.variants.some(({ outcome }) => outcome === 'failed');
  return failed || hasErrors(ofVariants(report)) ? 1 : 0;
}

/** What is about variants, each with its name: the rest is in the table. */
const ofVariants = ({ variants }: PresetReport): readonly Finding[] =>
  variants.flatMap(({ dtype, findings }) =>
    findings.map((finding) => ({ ...finding, message: `${dtype}: ${finding.message}` })),
  );
