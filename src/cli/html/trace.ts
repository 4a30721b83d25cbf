import type { TraceReport } from '../../operations/trace/report.js';
import { html } from '../escape.js';
import { duration, figure, shape } from '../render/numbers.js';
import { blameText, errors, inputText, traceFacts } from '../render/trace.js';
import { htmlTable, page, section, tiles, verdict } from './page.js';
import { findingsPart } from './parts.js';
import { barChart } from './svg.js';

/** Bars around the first value that differs. */
const AROUND = 20;

export function tracePage(report: TraceReport): string {
  const { path, first, same, seconds, device } = report;
  return page(`mlser trace ${path}`, [
    `<h1>${html(path)}</h1>`,
    tiles([
      ['answer', verdict(same, report.reference === null ? 'finite' : 'the same', 'goes wrong')],
      ...traceFacts(report).map((fact): [string, string] => ['', fact]),
      ['device', device],
      ['time', duration(seconds)],
    ]),
    first ? section('First', firstPart(report)) : '',
    findingsPart(report.findings),
    section('Largest difference of each value, in the order of the graph (logarithmic)', bars(report)),
    section('Values', valueTable(report)),
  ]);
}

function firstPart({ first }: TraceReport): string {
  if (!first) return '';
  const rows = first.inputs.map((input) => [input.kind, input.name, inputText(input)]);
  const { node, op, value, between } = first;
  return [
    `<p><code>${html(node)}</code> (${html(op)}) → <code>${html(value)}</code>: ${html(blameText(first))}</p>`,
    htmlTable([{ title: 'takes' }, { title: 'name', code: true }, { title: '' }], rows),
    between.length > 1 ? `<p>${html(between.join(', '))}</p>` : '',
  ].join('\n');
}

function bars({ values, first, reference }: TraceReport): string {
  const at = Math.max(0, first ? values.findIndex(({ name }) => name === first.value) : values.length);
  return barChart(
    values.slice(Math.max(0, at - AROUND), at + AROUND).map(({ name, counterpart, nonFinite }) => {
      const value = reference === null ? nonFinite : (counterpart?.maxAbs ?? 0);
      return { label: name, value: Number.isFinite(value) ? value : 0, text: figure(value) };
    }),
    { log: true },
  );
}

const valueTable = ({ values }: TraceReport): string =>
  htmlTable(
    [
      { title: 'value', code: true },
      { title: 'node', code: true },
      { title: 'operator' },
      { title: 'shape' },
      { title: 'counterpart', code: true },
      ...['max abs', 'max rel', 'cosine', 'not finite'].map((title) => ({ title, right: true })),
    ],
    values.map((value) => [
      value.name,
      value.node,
      value.op,
      shape(value.shape),
      value.counterpart ? `${value.counterpart.name} (${value.counterpart.by})` : '–',
      ...errors(value),
      figure(value.nonFinite),
    ]),
  );
