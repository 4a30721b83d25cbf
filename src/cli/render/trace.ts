import type {
  FirstDifference,
  TracedInput,
  TracedValue,
  TraceReport,
} from '../../operations/trace/report.js';
import { safe } from '../escape.js';
import type { Style } from '../style.js';
import { findingLines } from './findings.js';
import { duration, figure, grouped, plural, shape } from './numbers.js';
import { table } from './table.js';

/** Rows that are shown before and after the first value that differs, and where nothing does. */
const AROUND = 12;

/** What was compared, the values around the first that differs, and what is to blame for it. */
export function renderTrace(report: TraceReport, show: { readonly all: boolean }, style: Style): string {
  const { paint } = style;
  const head = `${verdict(report, style)}: ${paint.strong(safe(report.path))}${against(report)}, ${duration(report.seconds)}`;
  const findings = findingLines(
    report.findings.filter(({ severity }) => severity === 'info'),
    style,
  ).join('\n');
  return `${[
    head,
    `  ${traceFacts(report).map(safe).join(' · ')}`,
    valueTable(report, show.all, style),
    report.first ? firstLines(report.first, style).join('\n') : '',
    findings,
  ]
    .filter((part) => part !== '')
    .join('\n')}\n`;
}

function verdict({ first, same, reference }: TraceReport, { paint }: Style): string {
  if (same) return paint.good(reference === null ? 'finite' : 'the same');
  if (!first) return paint.bad('nothing compared');
  const what = first.kind === 'not-finite' ? 'not finite' : safe(first.kind);
  return paint.bad(`${what}, first at ${safe(first.node)}`);
}

function against({ reference, path, device, referenceDevice }: TraceReport): string {
  if (reference === null) return '';
  return reference === path && device !== referenceDevice
    ? ` on ${safe(device)} and ${safe(referenceDevice ?? '')}`
    : ` and ${safe(reference)}`;
}

/** The same facts for the terminal and for pages, as plain text. */
export function traceFacts(report: TraceReport): string[] {
  const { matched, reference, tolerance, passingCosine, samples, feeds } = report;
  const by = (['name', 'map', 'structure', 'figures'] as const).flatMap((how) =>
    matched[how] > 0 ? [`${grouped(matched[how])} by ${how}`] : [],
  );
  const or = passingCosine === undefined ? '' : ` or cosine ${passingCosine}`;
  return [
    ...(matched.of === 0
      ? []
      : [
          reference === null
            ? plural(matched.of, 'value')
            : `${grouped(matched.values)} of ${plural(matched.of, 'value')} matched${by.length > 0 ? `: ${by.join(', ')}` : ''}`,
        ]),
    ...(tolerance === undefined ? [] : [`tolerance ${figure(tolerance)}${or}`]),
    `feeds: ${feeds}${samples === undefined ? '' : ` (${plural(samples, 'sample')})`}`,
  ];
}

function valueTable({ values, first, reference }: TraceReport, all: boolean, style: Style): string {
  if (values.length === 0) return '';
  const { paint } = style;
  const compared = reference !== null;
  const at = first ? values.findIndex(({ name }) => name === first.value) : -1;
  const [from, to] = all
    ? [0, values.length]
    : at < 0
      ? [Math.max(0, values.length - AROUND), values.length]
      : [Math.max(0, at - AROUND), at + AROUND + 1];
  const shown = values.slice(from, to);
  const rest = values.length - shown.length;
  const named = shown.some(({ name, counterpart }) => counterpart && counterpart.name !== name);
  const drawn = table(
    [
      { title: '' },
      { title: 'value', flexible: true },
      { title: 'operator' },
      { title: 'shape' },
      ...(named ? [{ title: 'counterpart' }] : []),
      ...(compared ? ['max abs', 'max rel', 'cosine'].map(toRight) : []),
      toRight('not finite'),
    ],
    shown.map((value) => [
      mark(value, first, compared),
      value.name,
      value.op,
      shape(value.shape),
      ...(named ? [value.counterpart?.name ?? '–'] : []),
      ...(compared ? errors(value) : []),
      figure(value.nonFinite),
    ]),
    style,
    '  ',
  );
  const more = rest > 0 ? `\n  ${paint.faint(`${plural(rest, 'value')} more: --all, or --json`)}` : '';
  return `${drawn}${more}${legend(
    shown.map((value) => mark(value, first, compared)),
    compared,
    style,
  )}`;
}

const toRight = (title: string) => ({ title, align: 'right' as const });

/** What the marks of rows mean, of those that are there. */
function legend(marks: readonly string[], compared: boolean, { paint }: Style): string {
  const words = [
    ['>', 'the first'],
    ['x', compared ? 'differs' : 'not finite'],
    ['?', 'not compared'],
  ].filter(([sign = '']) => marks.includes(sign));
  return words.length === 0 ? '' : `\n  ${paint.faint(words.map((one) => one.join(' ')).join(' · '))}`;
}

/** What a row is at a glance: the first that is wrong, others that are, those that nothing is known of. */
function mark(
  { name, counterpart, nonFinite }: TracedValue,
  first: FirstDifference | null,
  compared: boolean,
): string {
  if (first?.value === name) return '>';
  if (!compared) return nonFinite > 0 ? 'x' : '';
  if (!counterpart) return '?';
  return counterpart.same ? '' : 'x';
}

export const errors = ({ counterpart }: TracedValue): string[] => {
  if (!counterpart) return ['–', '–', '–'];
  if (counterpart.reason !== undefined) return [counterpart.reason, '', ''];
  return [figure(counterpart.maxAbs), figure(counterpart.maxRel), figure(counterpart.cosine)];
};

const BLAME = new Map<string, string>([
  ['weight', 'a weight of it differs'],
  ['node', 'the node itself: all that it takes is the same'],
  ['inputs', 'what it takes is off already'],
  ['between', 'one of the nodes since the last values that were compared'],
]);

/** Where it goes wrong and what is to blame, as plain text. */
export const blameText = (first: FirstDifference): string =>
  first.message ??
  (first.kind === 'not-finite' && first.blame === 'node'
    ? 'the node itself: all that it takes is finite'
    : (BLAME.get(first.blame) ?? first.blame));

function firstLines(first: FirstDifference, { paint }: Style): string[] {
  const { kind, node, op, value, inputs, between } = first;
  const takes = kind === 'fails' ? [] : inputs;
  return [
    '',
    `${paint.heading('First')} ${safe(node)} (${safe(op)}) → ${paint.strong(safe(value))}: ${safe(blameText(first))}`,
    ...takes.map(
      (input) => `  ${safe(input.kind).padEnd(6)}  ${safe(input.name)}  ${safe(inputText(input))}`,
    ),
    ...(between.length > 1 ? [`  ${paint.faint('nodes')}   ${between.map(safe).join(', ')}`] : []),
  ];
}

export function inputText({ kind, same, maxAbs, cosine, nonFinite }: TracedInput): string {
  if (nonFinite !== undefined) return nonFinite > 0 ? `${grouped(nonFinite)} not finite` : 'finite';
  if (kind === 'input') return 'fed';
  if (same === undefined) return 'not compared';
  if (same && (maxAbs ?? 0) === 0) return 'the same';
  return `${same ? 'within the tolerance' : 'differs'}: max abs ${figure(maxAbs)}, cosine ${figure(cosine)}`;
}
