import type { Finding } from '../../errors.js';
import type { ValidationReport } from '../../validate/report.js';
import { figure, percent } from '../render/numbers.js';
import { validationFacts } from '../render/validation.js';
import { type HtmlColumn, htmlTable, raw, section, tiles, verdict } from './page.js';
import { barChart } from './svg.js';

const right = (title: string): HtmlColumn => ({ title, right: true });

export const findingsPart = (findings: readonly Finding[]): string =>
  findings.length === 0
    ? ''
    : section(
        'Findings',
        htmlTable(
          [
            { title: 'severity' },
            { title: 'code', code: true },
            { title: 'subject', code: true },
            { title: 'what' },
          ],
          findings.map((finding) => [
            raw(
              `<span class="${finding.severity === 'error' ? 'bad' : finding.severity}">${finding.severity}</span>`,
            ),
            finding.code,
            finding.subject,
            finding.message,
          ]),
        ),
      );

/** Outputs of a run against their reference. */
export function outputsPart(outputs: NonNullable<ValidationReport['run']>['outputs']): string {
  if (outputs.length === 0) return '';
  const rows = outputs.map((output) => [
    output.name,
    figure(output.maxAbs),
    figure(output.maxRel),
    figure(output.rmse),
    figure(output.cosine),
    output.argmaxAgreement === undefined ? '–' : percent(output.argmaxAgreement),
    figure(output.neededTolerance),
  ]);
  const columns = ['max abs', 'max rel', 'rmse', 'cosine', 'same arg-max', 'needed tolerance'].map(right);
  const bars = outputs.map((o) => ({ label: o.name, value: o.maxAbs, text: figure(o.maxAbs) }));
  return [
    htmlTable([{ title: 'output', code: true }, ...columns], rows),
    outputs.length > 1 ? barChart(bars, { log: true }) : '',
  ].join('\n');
}

export function validationPart(validation: ValidationReport): string {
  if (validation.level === 'none') return section('Validation', '<p class="faint">not validated</p>');
  return section(
    'Validation',
    tiles([
      ['gate', verdict(validation.passed, 'passed', 'failed')],
      ['level', validation.level],
      ['device', validation.device],
    ]),
    htmlTable([{ title: 'proof' }, { title: '' }], validationFacts(validation)),
    outputsPart(validation.run?.outputs ?? []),
  );
}
