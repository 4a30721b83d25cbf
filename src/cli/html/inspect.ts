import type { InspectReport, TensorEntry } from '../../operations/reports.js';
import { html, shorten } from '../escape.js';
import { layerGroups } from '../render/layers.js';
import { count, figure, grouped, percent, shape, size } from '../render/numbers.js';
import { type Cell, type HtmlColumn, htmlTable, page, raw, section, tiles } from './page.js';
import { findingsPart } from './parts.js';
import { barChart, histogram, shareChart } from './svg.js';

const LARGEST = 20;
const OPERATORS = 30;

/** One page for one or several models. */
export const inspectPage = (reports: readonly InspectReport[]): string =>
  page(`mlser inspect ${reports.map((report) => report.path).join(', ')}`, reports.flatMap(modelParts));

function modelParts(report: InspectReport): string[] {
  const { training, content } = report;
  return [
    `<h1>${html(report.path)}</h1>`,
    tiles([
      ['format', `${report.format}${report.formatVersion === null ? '' : ` ${report.formatVersion}`}`],
      ['size', size(report.bytes)],
      ['parameters', count(report.parameters)],
      ['tensors', grouped(report.tensors.length)],
      ['files', grouped(report.files.length)],
      ...(training?.step === undefined ? [] : [['step', figure(training.step)] as const]),
      ...(training?.epoch === undefined ? [] : [['epoch', figure(training.epoch)] as const]),
      ...(training?.loss === undefined ? [] : [['loss', figure(training.loss)] as const]),
    ]),
    content === undefined ? '' : `<p>content id <span class="code">${html(content)}</span></p>`,
    findingsPart(report.findings),
    section('Types', dtypes(report)),
    section('Layers', layers(report)),
    section('Largest tensors', largest(report)),
    graph(report),
    section('Metadata', metadata(report)),
    section('Tensors', tensors(report.tensors)),
  ];
}

const dtypes = (report: InspectReport): string =>
  shareChart(
    Object.entries(report.dtypes)
      .sort(([, a], [, b]) => b.bytes - a.bytes)
      .map(([label, totals]) => ({
        label,
        value: totals.bytes,
        text: `${grouped(totals.tensors)} tensors, ${count(totals.parameters)}, ${size(totals.bytes)}`,
      })),
  );

function layers(report: InspectReport): string {
  const groups = layerGroups(report.tensors, 16);
  if (groups.length < 2) return '';
  return barChart(
    groups.slice(0, 60).map((group) => ({
      label: group.label + (group.repeats > 1 ? ` (× ${group.repeats})` : ''),
      value: group.bytes,
      text: `${size(group.bytes)}, ${percent(report.tensorBytes === 0 ? 0 : group.bytes / report.tensorBytes)}`,
    })),
  );
}

const largest = (report: InspectReport): string =>
  barChart(
    report.tensors
      .filter((tensor) => tensor.aliasOf === undefined)
      .sort((a, b) => b.bytes - a.bytes)
      .slice(0, LARGEST)
      .map((tensor) => ({ label: tensor.name, value: tensor.bytes, text: size(tensor.bytes) })),
  );

function graph({ graph: found }: InspectReport): string {
  if (!found) return '';
  const values = [
    ...found.inputs.map((value) => ['input', value.name, value.dtype, shape(value.shape)]),
    ...found.outputs.map((value) => ['output', value.name, value.dtype, shape(value.shape)]),
  ];
  const ops = Object.entries(found.ops).sort(([, a], [, b]) => b - a);
  const opsets = Object.entries(found.opsets).map(
    ([domain, v]) => `${domain === '' ? 'ai.onnx' : domain} ${v}`,
  );
  return section(
    'Graph',
    `<p>IR ${found.irVersion}, ${html(opsets.join(', '))}, ${html(found.producer)}: ${grouped(found.nodes)} nodes, ${grouped(found.subgraphs)} sub-graphs, ${grouped(found.functions)} functions</p>`,
    htmlTable([{ title: '' }, { title: 'name', code: true }, { title: 'dtype' }, { title: 'shape' }], values),
    '<p class="faint">operators</p>',
    barChart(ops.slice(0, OPERATORS).map(([label, n]) => ({ label, value: n, text: grouped(n) }))),
  );
}

function metadata(report: InspectReport): string {
  const entries = Object.entries(report.metadata);
  if (entries.length === 0) return '';
  return htmlTable(
    [{ title: 'key', code: true }, { title: 'value' }],
    entries.map(([key, value]) => [
      key,
      shorten(typeof value === 'string' ? value : JSON.stringify(value), 2_000),
    ]),
  );
}

type Field = HtmlColumn & { readonly cell: (tensor: TensorEntry) => Cell | undefined };

const right = (title: string, cell: Field['cell']): Field => ({ title, right: true, cell });

const FIELDS: readonly Field[] = [
  { title: 'name', code: true, cell: (t) => t.name },
  { title: 'dtype', cell: (t) => t.dtype },
  { title: 'shape', cell: (t) => shape(t.shape) },
  right('size', (t) => size(t.bytes)),
  { title: 'same as', code: true, cell: (t) => t.aliasOf },
  right('min', (t) => t.stats && figure(t.stats.min)),
  right('max', (t) => t.stats && figure(t.stats.max)),
  right('mean', (t) => t.stats && figure(t.stats.mean)),
  right('std', (t) => t.stats && figure(t.stats.std)),
  right('zeros', (t) => t.stats && percent(t.stats.count === 0 ? 0 : t.stats.zeros / t.stats.count)),
  right('nan', (t) => (t.stats?.nan ? grouped(t.stats.nan) : undefined)),
  right('inf', (t) => (t.stats?.inf ? grouped(t.stats.inf) : undefined)),
  {
    title: 'histogram',
    cell: (t) =>
      t.stats?.histogram &&
      raw(
        histogram(
          t.stats.histogram.counts,
          `${t.name}: ${figure(t.stats.histogram.min)} to ${figure(t.stats.histogram.max)}`,
        ),
      ),
  },
  { title: 'sha256', code: true, cell: (t) => t.sha256 },
];

function tensors(list: readonly TensorEntry[]): string {
  const shown = FIELDS.filter((field) => list.some((tensor) => field.cell(tensor) !== undefined));
  return list.length === 0
    ? ''
    : htmlTable(
        shown,
        list.map((tensor) => shown.map((field) => field.cell(tensor) ?? '')),
      );
}
