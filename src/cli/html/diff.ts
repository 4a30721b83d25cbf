import type { DiffReport, NameChanges } from '../../operations/reports.js';
import { html } from '../escape.js';
import { figure, grouped, percent, shape } from '../render/numbers.js';
import { htmlTable, page, section, tiles, verdict } from './page.js';
import { findingsPart, outputsPart } from './parts.js';
import { barChart } from './svg.js';

const WORST = 30;

export function diffPage(report: DiffReport): string {
  const { tensors } = report;
  return page(`mlser diff ${report.a} ${report.b}`, [
    `<h1>${html(report.a)} ↔ ${html(report.b)}</h1>`,
    tiles([
      ['answer', verdict(report.same, 'same', 'different')],
      ['unchanged', grouped(tensors.unchanged)],
      ['changed', grouped(tensors.changed.length)],
      ['only in the first', grouped(tensors.removed.length)],
      ['only in the second', grouped(tensors.added.length)],
    ]),
    findingsPart(report.findings),
    section('Largest changes (max abs, logarithmic)', largest(report)),
    section('Changed tensors', changed(report)),
    section('Names', names({ ...tensors, changed: [] })),
    section('Metadata', names(report.metadata)),
    section('Graph', graph(report)),
    section('Outputs', outputsPart(report.run?.outputs ?? [])),
  ]);
}

const largest = ({ tensors }: DiffReport): string =>
  barChart(
    tensors.changed
      .flatMap(({ name, maxAbs }) =>
        maxAbs === undefined ? [] : [{ label: name, value: maxAbs, text: figure(maxAbs) }],
      )
      .sort((a, b) => b.value - a.value)
      .slice(0, WORST),
    { log: true },
  );

function changed({ tensors }: DiffReport): string {
  const all = [...tensors.changed, ...(tensors.tolerated ?? [])];
  if (all.length === 0) return '';
  return htmlTable(
    [
      { title: 'name', code: true },
      { title: 'what' },
      ...['max abs', 'max rel', 'rmse', 'cosine', 'changed'].map((title) => ({ title, right: true })),
    ],
    all.map((change) => [
      change.name,
      [
        ...(change.dtype ? [change.dtype.join(' → ')] : []),
        ...(change.shape ? [change.shape.map(shape).join(' → ')] : []),
        ...(change.reasons.includes('values') ? ['values'] : []),
        ...(change.withinTolerance ? ['within tolerance'] : []),
      ].join(', '),
      figure(change.maxAbs),
      figure(change.maxRel),
      figure(change.rmse),
      figure(change.cosine),
      change.changedFraction === undefined ? '–' : percent(change.changedFraction),
    ]),
  );
}

function names(changes: NameChanges): string {
  const rows = [
    ...changes.removed.map((name) => ['only in the first', name]),
    ...changes.added.map((name) => ['only in the second', name]),
    ...changes.changed.map((name) => ['changed', name]),
  ];
  return rows.length === 0 ? '' : htmlTable([{ title: '' }, { title: 'name', code: true }], rows);
}

function graph({ graph: found }: DiffReport): string {
  if (!found) return '';
  if (found.same) return '<p>the same operators, inputs and outputs</p>';
  const rows = [
    ...Object.entries(found.ops.removed).map(([op, n]) => ['only in the first', op, grouped(n)]),
    ...Object.entries(found.ops.added).map(([op, n]) => ['only in the second', op, grouped(n)]),
  ];
  return [
    `<p>nodes ${grouped(found.nodes[0])} → ${grouped(found.nodes[1])}</p>`,
    rows.length === 0
      ? ''
      : htmlTable([{ title: '' }, { title: 'operator', code: true }, { title: 'count', right: true }], rows),
    names(found.inputs),
    names(found.outputs),
    names(found.opsets),
  ].join('\n');
}
