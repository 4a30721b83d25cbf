import type { MetaReport, ValidateReport } from '../../operations/reports.js';
import { safe, safeLines } from '../escape.js';
import type { Style } from '../style.js';
import { findingLines } from './findings.js';
import { metadata } from './inspect.js';
import { duration } from './numbers.js';
import { validationSection } from './validation.js';

export function renderValidate(report: ValidateReport, style: Style): string {
  const { paint } = style;
  const head = report.passed ? paint.good('valid') : paint.bad('not valid');
  const findings = findingLines(report.findings, style).join('\n');
  return `${[
    `${head}: ${paint.strong(safe(report.path))} (${safe(report.format)}, ${duration(report.seconds)})`,
    `${paint.heading('Validation')}\n${validationSection(report.validation, style)}`,
    findings === '' ? '' : `${paint.heading('Findings')}\n${findings}`,
  ]
    .filter((part) => part !== '')
    .join('\n\n')}\n`;
}

/** All entries; of a single wanted key the bare value, which is what a script wants. */
export function renderMeta(report: MetaReport, keys: readonly string[], style: Style): string {
  const [key] = keys;
  if (key !== undefined && keys.length === 1) {
    const value = report.metadata[key];
    return `${safeLines(typeof value === 'string' ? value : JSON.stringify(value))}\n`;
  }
  const entries =
    Object.keys(report.metadata).length === 0 ? '  no metadata' : metadata(report.metadata, style);
  return `${style.paint.strong(safe(report.path))}\n${entries}\n`;
}
