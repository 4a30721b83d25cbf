import type { ValidationReport } from '../../validate/report.js';
import { safe } from '../escape.js';
import type { Style } from '../style.js';
import { figure, grouped, percent, plural } from './numbers.js';
import { fields, table } from './table.js';

/** What was proved, how far, and how close it came. */
export function validationSection(validation: ValidationReport, style: Style): string {
  const { paint } = style;
  const verdict = validation.passed ? paint.good('passed') : paint.bad('failed');
  const pairs: [string, string][] = [];
  if (validation.structure !== undefined)
    pairs.push([
      'structure',
      validation.structure ? 'opened again and as planned' : paint.bad('not as planned'),
    ]);
  if (validation.weights) pairs.push(['weights', weights(validation.weights)]);
  if (validation.run) pairs.push(['run', run(validation)]);
  if (validation.accuracy) pairs.push(['accuracy', accuracy(validation.accuracy)]);
  const outputs = validation.run?.outputs ?? [];
  const head =
    validation.level === 'none'
      ? `  ${paint.faint('not validated')}`
      : `  ${verdict} ${paint.faint(`at level ${validation.level}, device ${safe(validation.device)}`)}`;
  return [head, fields(pairs, style, '  '), outputTable(outputs, style)]
    .filter((part) => part !== '')
    .join('\n');
}

function weights({ checked, equal, lossy, worst }: NonNullable<ValidationReport['weights']>): string {
  const parts = [`${plural(checked, 'tensor')} read back`, `${grouped(equal)} equal`];
  if (lossy > 0) parts.push(`${grouped(lossy)} changed within their bound`);
  if (worst)
    parts.push(`worst ${safe(worst.name)} (max abs ${figure(worst.maxAbs)}, rmse ${figure(worst.rmse)})`);
  return parts.join(', ');
}

function run({ run: facts }: ValidationReport): string {
  const parts: string[] = [];
  if (facts?.samples !== undefined) parts.push(plural(facts.samples, 'sample'));
  if (facts?.feeds !== undefined) parts.push(`feeds: ${safe(facts.feeds)}`);
  if (facts?.reference !== undefined) parts.push(`compared with ${safe(facts.reference)}`);
  if (facts?.tensorsRead !== undefined) parts.push(`the runtime read ${plural(facts.tensorsRead, 'tensor')}`);
  if (facts?.tensorsFed) parts.push(`${grouped(facts.tensorsFed)} were fed to it`);
  if (facts?.tolerance !== undefined) parts.push(`tolerance ${figure(facts.tolerance)}`);
  return parts.length > 0 ? parts.join(', ') : 'executed';
}

const accuracy = ({ before, after, samples }: NonNullable<ValidationReport['accuracy']>): string =>
  `${before === undefined ? '' : `${percent(before)} → `}${percent(after)} of ${plural(samples, 'sample')}`;

export function outputTable(outputs: NonNullable<ValidationReport['run']>['outputs'], style: Style): string {
  if (outputs.length === 0) return '';
  const agreement = outputs.some((output) => output.argmaxAgreement !== undefined);
  return table(
    [
      { title: 'output', flexible: true },
      { title: 'max abs', align: 'right' },
      { title: 'max rel', align: 'right' },
      { title: 'rmse', align: 'right' },
      { title: 'cosine', align: 'right' },
      ...(agreement ? [{ title: 'same arg-max', align: 'right' as const }] : []),
      { title: 'needed tolerance', align: 'right', paint: style.paint.number },
    ],
    outputs.map((output) => [
      safe(output.name),
      figure(output.maxAbs),
      figure(output.maxRel),
      figure(output.rmse),
      figure(output.cosine),
      ...(agreement ? [output.argmaxAgreement === undefined ? '–' : percent(output.argmaxAgreement)] : []),
      figure(output.neededTolerance),
    ]),
    style,
    '  ',
  );
}
