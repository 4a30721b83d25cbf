import type { PipelineReport, StepEntry } from '../../operations/pipeline/report.js';
import { safe } from '../escape.js';
import type { Style } from '../style.js';
import { figureTexts } from './figures.js';
import { change, duration, percent, size } from './numbers.js';
import { speedSection } from './quantize.js';
import { fields, table } from './table.js';
import { validationSection } from './validation.js';

/** A line for every step, then what the output is next to the input. */
export function renderPipeline(report: PipelineReport, style: Style): string {
  const { paint } = style;
  const { input, output, recipe, steps, validation, dryRun, failedStep } = report;
  const done = dryRun
    ? 'would make'
    : validation.passed
      ? paint.good('made')
      : `${paint.bad('not written:')} ${failedStep === 0 ? 'the whole did not pass, for' : `step ${failedStep} did not pass, for`}`;
  const title = recipe.name === undefined ? '' : `${safe(recipe.name)}\n`;
  const head = `${title}${done} ${paint.strong(safe(input))} → ${paint.strong(safe(output))}`;
  const sections = [
    `${head}\n${fields(facts(report), style, '  ')}`,
    `${paint.heading('Steps')}\n${stepTable(steps, style)}`,
    report.speed ? `${paint.heading('Speed')}\n${speedSection(report.speed, style)}` : '',
    // The gate of a step that failed, or that of the whole.
    dryRun ? '' : `${paint.heading('Validation')}\n${validationSection(validation, style)}`,
  ];
  return `${sections.filter((part) => part !== '').join('\n\n')}\n`;
}

function facts(report: PipelineReport): [string, string][] {
  const { recipe, bytesIn, bytesOut, ratio, work, seconds, dryRun } = report;
  const sizes =
    bytesOut === 0
      ? `${size(bytesIn)} → not known`
      : `${size(bytesIn)} → ${size(bytesOut)}${dryRun ? ' of tensors' : ''}  ${change(ratio)}`;
  return [
    ['recipe', safe(recipe.file)],
    ...(bytesOut > 0 || dryRun ? ([['size', sizes]] as [string, string][]) : []),
    ...(work === undefined
      ? []
      : ([['finished steps', `kept in ${safe(work)}: the next run goes on there`]] as [string, string][])),
    ...(dryRun ? [] : ([['time', duration(seconds)]] as [string, string][])),
  ];
}

const OUTCOMES: ReadonlyMap<string, string> = new Map<StepEntry['outcome'], string>([
  ['done', 'proved'],
  ['kept', 'kept from before'],
  ['composed', 'goes into the next'],
  ['planned', 'planned'],
  ['failed', 'did not pass'],
  ['waiting', 'not reached'],
]);

/** What became of a step, in words. */
export const outcomeText = ({ outcome, validation }: StepEntry): string =>
  outcome === 'done' && validation?.level === 'none' ? 'written' : (OUTCOMES.get(outcome) ?? safe(outcome));

function stepTable(steps: readonly StepEntry[], style: Style): string {
  const { paint } = style;
  const labelled = steps.some(({ validation }) => validation?.accuracy !== undefined);
  return table(
    [
      { title: '', align: 'right' },
      { title: 'step' },
      { title: 'what it did', flexible: true },
      { title: 'size', align: 'right', paint: paint.number },
      ...(labelled ? [{ title: 'accuracy', align: 'right' as const }] : []),
      { title: 'time', align: 'right' },
      { title: 'outcome' },
    ],
    steps.map((entry) => [
      String(entry.step),
      safe(entry.do),
      figuresText(entry),
      entry.bytesOut === null ? '–' : size(entry.bytesOut),
      ...(labelled ? [accuracyText(entry)] : []),
      entry.outcome === 'waiting' ? '' : duration(entry.seconds),
      outcomeText(entry),
    ]),
    style,
    '  ',
  );
}

export function accuracyText({ validation }: StepEntry): string {
  const { accuracy } = validation ?? {};
  if (!accuracy) return '–';
  const after = percent(accuracy.after);
  return accuracy.before === undefined ? after : `${percent(accuracy.before)} → ${after}`;
}

/** Its name and figures. */
export function figuresText({ name, figures }: StepEntry): string {
  return [...(name === undefined ? [] : [safe(name)]), ...figureTexts(figures)].join(', ');
}
