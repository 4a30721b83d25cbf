import type { CheckReport, ChecksumReport } from '../../operations/reports.js';
import { safe } from '../escape.js';
import type { Style } from '../style.js';
import { findingLines } from './findings.js';
import { plural } from './numbers.js';

/**
 * Lines that `sha256sum -c` reads: hash, two spaces, path. A path with a backslash is marked and doubled as
 * coreutils do; control characters in names are shown as escapes, such files need the JSON manifest.
 */
export function renderChecksum(report: ChecksumReport, tensors: boolean): string {
  const files = report.files.map(({ path, sha256 }) => sumLine(sha256, path));
  if (!tensors) return `${files.join('\n')}\n`;
  const rows = report.tensors.map(
    ({ name, dtype, shape, sha256 }) =>
      `# ${safe(sha256)}  ${safe(dtype)} [${shape.join(', ')}] ${safe(name)}`,
  );
  return `${[...files, `# content ${safe(report.content)}`, ...rows].join('\n')}\n`;
}

const sumLine = (sha256: string, path: string): string =>
  /[\\\n\r]/.test(path)
    ? `\\${safe(sha256)}  ${safe(path.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r'))}`
    : `${safe(sha256)}  ${safe(path)}`;

/** A line per check as `sha256sum -c` prints it, failures last again. */
export function renderCheck(report: CheckReport, style: Style): string {
  const { paint } = style;
  const lines = report.checks.map(({ kind, name, ok, found }) => {
    const label = kind === 'tensor' ? `tensor ${safe(name)}` : safe(name);
    const verdict = ok ? paint.good('OK') : paint.bad(found === null ? 'MISSING' : 'FAILED');
    return `${label}: ${verdict}`;
  });
  const failed = report.checks.filter((check) => !check.ok);
  const details = failed
    .filter((check) => check.found !== null)
    .map(
      (check) => `  ${safe(check.name)}: expected ${safe(check.expected)}, found ${safe(check.found ?? '')}`,
    );
  const summary = report.passed
    ? paint.good(`${plural(report.checks.length, 'check')} passed`)
    : paint.bad(`${failed.length} of ${plural(report.checks.length, 'check')} failed`);
  return `${[...lines, ...details, ...findingLines(report.findings, style), summary].join('\n')}\n`;
}
