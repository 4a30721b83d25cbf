import type { ValidationReport } from '../../validate/report.js';
import { safe } from '../escape.js';
import type { Style } from '../style.js';
import { figure, grouped, percent, plural } from './numbers.js';
import { fields, table } from './table.js';

type Outputs = NonNullable<ValidationReport['run']>['outputs'];

/** What was proved, how far, and how close it came. */
export function validationSection(validation: ValidationReport, style: Style): string {
  const { paint } = style;
  if (validation.level === 'none') return `  ${paint.faint('not validated')}`;
  const verdict = validation.passed ? paint.good('passed') : paint.bad('failed');
  const head = `  ${verdict} ${paint.faint(`at level ${validation.level}, device ${safe(validation.device)}`)}`;
  const outputs = outputTable(validation.run?.outputs ?? [], style);
  return [head, fields(validationFacts(validation), style, '  '), outputs]
    .filter((part) => part !== '')
    .join('\n');
}

/** The same facts for the terminal and for pages, as plain text. */
export function validationFacts({ structure, weights, run, accuracy }: ValidationReport): [string, string][] {
  const facts: [string, string][] = [];
  if (structure !== undefined)
    facts.push(['structure', structure ? 'opened again, as planned' : 'not as planned']);
  if (weights) {
    const parts = [`${plural(weights.checked, 'tensor')} read back`, `${grouped(weights.equal)} equal`];
    if (weights.lossy > 0)
      parts.push(`${grouped(weights.lossy)} changed within ${weights.lossy === 1 ? 'its' : 'their'} bound`);
    facts.push(['weights', parts.join(', ')]);
    if (weights.worst) {
      const { name, maxAbs, rmse } = weights.worst;
      facts.push(['worst', `${safe(name)}: max abs ${figure(maxAbs)}, rmse ${figure(rmse)}`]);
    }
  }
  if (run) facts.push(['run', runText(run)]);
  if (accuracy) {
    const before = accuracy.before === undefined ? '' : `${percent(accuracy.before)} → `;
    facts.push(['accuracy', `${before}${percent(accuracy.after)} of ${plural(accuracy.samples, 'sample')}`]);
  }
  return facts;
}

function runText(run: NonNullable<ValidationReport['run']>): string {
  const parts: string[] = [];
  if (run.samples !== undefined) parts.push(plural(run.samples, 'sample'));
  if (run.feeds !== undefined) parts.push(`feeds: ${safe(run.feeds)}`);
  if (run.reference !== undefined) parts.push(`compared with ${safe(run.reference)}`);
  if (run.tensorsRead !== undefined) parts.push(`the runtime read ${plural(run.tensorsRead, 'tensor')}`);
  if (run.tensorsFed) parts.push(`${grouped(run.tensorsFed)} were handed to it`);
  if (run.tolerance !== undefined) {
    const or = run.passingCosine === undefined ? '' : ` or cosine ${run.passingCosine}`;
    parts.push(`tolerance ${figure(run.tolerance)}${or}`);
  }
  return parts.length > 0 ? parts.join(', ') : 'executed';
}

export function outputTable(outputs: Outputs, style: Style): string {
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
