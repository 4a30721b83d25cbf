import type { DiffReport, NameChanges, TensorChange } from '../../operations/reports.js';
import { safe } from '../escape.js';
import type { Style } from '../style.js';
import { findingLines } from './findings.js';
import { figure, grouped, percent, plural, shape } from './numbers.js';
import { fields, table } from './table.js';
import { outputTable } from './validation.js';

const NAMES = 40;
const CHANGES = 60;

/** The answer first, then what differs: names, values, metadata, graph, behaviour. */
export function renderDiff(report: DiffReport, style: Style): string {
  const { paint } = style;
  const { added, removed, changed, tolerated = [], unchanged } = report.tensors;
  const head = report.same ? paint.good('same') : paint.bad('different');
  const sections = [
    `${head}: ${paint.strong(safe(report.a))} and ${paint.strong(safe(report.b))}\n${fields(
      [
        [
          'tensors',
          `${grouped(unchanged)} unchanged, ${grouped(changed.length)} changed, ${grouped(added.length)} added, ${grouped(removed.length)} removed`,
        ],
      ],
      style,
      '  ',
    )}`,
    section('Only in the first', names(removed, paint.bad, '-'), style),
    section('Only in the second', names(added, paint.good, '+'), style),
    section('Changed tensors', changes(changed, style), style),
    section('Changed within the tolerance', changes(tolerated, style), style),
    section('Metadata', nameChanges(report.metadata, style), style),
    section('Graph', graph(report, style), style),
    section('Outputs', report.run ? outputTable(report.run.outputs, style) : '', style),
    section('Findings', findingLines(report.findings, style).join('\n'), style),
  ];
  return `${sections.filter((part) => part !== '').join('\n\n')}\n`;
}

const section = (heading: string, body: string, style: Style): string =>
  body === '' ? '' : `${style.paint.heading(heading)}\n${body}`;

function names(list: readonly string[], paint: (text: string) => string, mark: string): string {
  const lines = list.slice(0, NAMES).map((name) => `  ${paint(`${mark} ${safe(name)}`)}`);
  if (list.length > NAMES) lines.push(`  and ${grouped(list.length - NAMES)} more`);
  return lines.join('\n');
}

/** What changed, the largest change first. */
function changes(list: readonly TensorChange[], style: Style): string {
  if (list.length === 0) return '';
  const worst = [...list].sort((a, b) => (b.rmse ?? Infinity) - (a.rmse ?? Infinity)).slice(0, CHANGES);
  const rows = worst.map((change) => [
    safe(change.name),
    what(change),
    figure(change.maxAbs),
    figure(change.maxRel),
    figure(change.rmse),
    figure(change.cosine),
    change.changedFraction === undefined ? '–' : percent(change.changedFraction),
    change.withinTolerance ? 'within tolerance' : '',
  ]);
  const text = table(
    [
      { title: 'name', flexible: true },
      { title: 'what', paint: style.paint.warn },
      { title: 'max abs', align: 'right' },
      { title: 'max rel', align: 'right' },
      { title: 'rmse', align: 'right' },
      { title: 'cosine', align: 'right' },
      { title: 'changed', align: 'right' },
      { title: '', paint: style.paint.faint },
    ],
    rows,
    style,
    '  ',
  );
  const more = list.length - worst.length;
  return more > 0 ? `${text}\n  and ${plural(more, 'tensor')} more` : text;
}

const what = ({ reasons, dtype, shape: shapes }: TensorChange): string =>
  reasons
    .map((reason) => {
      if (reason === 'dtype' && dtype) return `${dtype[0]} → ${dtype[1]}`;
      if (reason === 'shape' && shapes) return `${shape(shapes[0])} → ${shape(shapes[1])}`;
      return reason;
    })
    .join(', ');

function nameChanges(found: NameChanges, { paint }: Style): string {
  return [
    names(found.removed, paint.bad, '-'),
    names(found.added, paint.good, '+'),
    names(found.changed, paint.warn, '~'),
  ]
    .filter((part) => part !== '')
    .join('\n');
}

function graph({ graph: found }: DiffReport, style: Style): string {
  if (!found) return '';
  if (found.same) return '  the same operators, inputs and outputs';
  const ops = [
    ...Object.entries(found.ops.removed).map(([op, n]) => `  ${style.paint.bad(`- ${safe(op)} × ${n}`)}`),
    ...Object.entries(found.ops.added).map(([op, n]) => `  ${style.paint.good(`+ ${safe(op)} × ${n}`)}`),
  ];
  const parts = [
    `  nodes ${grouped(found.nodes[0])} → ${grouped(found.nodes[1])}`,
    ops.join('\n'),
    ...(['inputs', 'outputs', 'opsets'] as const).map((kind) => {
      const text = nameChanges(found[kind], style);
      return text === '' ? '' : `  ${kind}:\n${text}`;
    }),
  ];
  return parts.filter((part) => part !== '').join('\n');
}
