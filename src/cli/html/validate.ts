import type { ValidateReport } from '../../operations/reports.js';
import { html } from '../escape.js';
import { duration } from '../render/numbers.js';
import { page, tiles, verdict } from './page.js';
import { findingsPart, validationPart } from './parts.js';

export const validatePage = (report: ValidateReport): string =>
  page(`mlser validate ${report.path}`, [
    `<h1>${html(report.path)}</h1>`,
    tiles([
      ['answer', verdict(report.passed, 'valid', 'not valid')],
      ['format', report.format],
      ['time', duration(report.seconds)],
    ]),
    validationPart(report.validation),
    findingsPart(report.findings),
  ]);
