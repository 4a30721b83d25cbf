import type { Finding } from '../../errors.js';
import type { ValidationReport } from '../../validate/report.js';
import { figure, grouped, percent } from '../render/numbers.js';
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
  const { weights, accuracy, run } = validation;
  const facts: [string, string | ReturnType<typeof verdict>][] = [
    ['gate', verdict(validation.passed, 'passed', 'failed')],
    ['level', validation.level],
    ['device', validation.device],
  ];
  if (weights) facts.push(['tensors read back', grouped(weights.checked)], ['equal', grouped(weights.equal)]);
  if (weights && weights.lossy > 0) facts.push(['within their bound', grouped(weights.lossy)]);
  if (accuracy?.before !== undefined) facts.push(['accuracy before', percent(accuracy.before)]);
  if (accuracy) facts.push(['accuracy', percent(accuracy.after)]);
  return section('Validation', tiles(facts), outputsPart(run?.outputs ?? []));
}
