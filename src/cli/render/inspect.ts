import { RECIPE_KEY } from '../../core/provenance.js';
import type { InspectReport, JsonValue } from '../../operations/reports.js';
import { safe, shorten } from '../escape.js';
import type { Style } from '../style.js';
import { bar } from './charts.js';
import { findingLines } from './findings.js';
import { graphSection } from './graph.js';
import { layerGroups } from './layers.js';
import { madeBy } from './made-by.js';
import { count, figure, percent, plural, shape, size } from './numbers.js';
import { fields, table } from './table.js';
import { tensorTable } from './tensors.js';

export interface InspectView {
  /** Every tensor instead of the largest ones. */
  readonly tensors?: boolean;
  /** Every operator instead of the most frequent ones. */
  readonly graph?: boolean;
}

const BAR = 24;
const LARGEST = 8;
const METADATA_LINES = 24;

/** What is in a model, for a person: the totals first, then where the bytes are, then the rest. */
export function renderInspect(report: InspectReport, view: InspectView, style: Style): string {
  const { paint } = style;
  const sections = [
    [title(report, style), facts(report, style)].filter((part) => part !== '').join('\n'),
    section('Types', dtypeTable(report, style), style),
    view.tensors ? '' : section('Layers', layerTable(report, style), style),
    view.tensors
      ? section('Tensors', tensorTable(report.tensors, style), style)
      : section('Largest tensors', largest(report, style), style),
    section('Graph', graphSection(report.graph, view.graph ?? false, style), style),
    section('Training', training(report, style), style),
    section('Made by a recipe', madeBy(report.metadata[RECIPE_KEY], style), style),
    section('Metadata', metadata(report.metadata, style), style),
    section('Findings', findingLines(report.findings, style).join('\n'), style),
  ];
  const text = sections.filter((part) => part !== '').join('\n\n');
  return view.tensors || report.tensors.length <= LARGEST
    ? `${text}\n`
    : `${text}\n\n${paint.faint(`every tensor: --tensors · values: --stats · hashes: --hashes`)}\n`;
}

const section = (heading: string, body: string, style: Style): string =>
  body === '' ? '' : `${style.paint.heading(heading)}\n${body}`;

function title(report: InspectReport, { paint }: Style): string {
  const parts = [
    safe(report.format) + (report.formatVersion === null ? '' : ` ${safe(report.formatVersion)}`),
    size(report.bytes),
    `${count(report.parameters)} parameters`,
    plural(report.tensors.length, 'tensor'),
  ];
  return `${paint.strong(safe(report.path))}\n${parts.join(' · ')}`;
}

function facts(report: InspectReport, style: Style): string {
  const pairs: [string, string][] = [];
  const { delta } = report;
  if (delta) {
    const base = `content ${safe(delta.base.slice(0, 12))}${delta.file === undefined ? '' : `, ${safe(delta.file)}`}`;
    const how = [`depth ${delta.depth}`, ...(delta.lossy === undefined ? [] : [safe(delta.lossy)])];
    pairs.push(['delta to', `${base} (${how.join(', ')})${delta.found ? '' : ', not found'}`]);
  }
  if (report.files.length > 1)
    pairs.push(['files', `${plural(report.files.length, 'file')}: ${fileList(report)}`]);
  const tied = report.tensors.filter((tensor) => tensor.aliasOf !== undefined).length;
  if (tied > 0) pairs.push(['tied', `${plural(tied, 'name')} for tensors that are there under another name`]);
  if (report.content !== undefined) pairs.push(['content id', safe(report.content)]);
  return fields(pairs, style, '  ');
}

function fileList({ files }: InspectReport): string {
  const shown = files.slice(0, 4).map((file) => `${safe(file.name)} (${size(file.bytes)})`);
  return [...shown, ...(files.length > 4 ? [`and ${files.length - 4} more`] : [])].join(', ');
}

function dtypeTable(report: InspectReport, style: Style): string {
  const rows = Object.entries(report.dtypes)
    .sort(([, a], [, b]) => b.bytes - a.bytes)
    .map(([dtype, totals]) => {
      const share = report.tensorBytes === 0 ? 0 : totals.bytes / report.tensorBytes;
      const chart = bar(share, BAR, style);
      return [
        dtype,
        plural(totals.tensors, 'tensor'),
        count(totals.parameters),
        size(totals.bytes),
        percent(share),
        chart,
      ];
    });
  if (rows.length === 0) return '';
  return table(
    [
      { title: '', paint: style.paint.number },
      { title: '', align: 'right' },
      { title: '', align: 'right' },
      { title: '', align: 'right' },
      { title: '', align: 'right' },
      { title: '', optional: true, paint: style.paint.name },
    ],
    rows,
    style,
    '  ',
  );
}

function layerTable(report: InspectReport, style: Style): string {
  const groups = layerGroups(report.tensors);
  if (groups.length < 2) return '';
  const shown = groups.length > 16 ? [...groups].sort((a, b) => b.bytes - a.bytes).slice(0, 12) : groups;
  const rows = shown.map((group) => {
    const share = report.tensorBytes === 0 ? 0 : group.bytes / report.tensorBytes;
    return [
      safe(group.label) + (group.repeats > 1 ? ` (× ${group.repeats})` : ''),
      plural(group.tensors, 'tensor'),
      count(group.parameters),
      percent(share),
      bar(share, BAR, style),
    ];
  });
  const text = table(
    [
      { title: '', flexible: true },
      { title: '', align: 'right' },
      { title: '', align: 'right' },
      { title: '', align: 'right' },
      { title: '', optional: true, paint: style.paint.name },
    ],
    rows,
    style,
    '  ',
  );
  const rest = groups.length - shown.length;
  return rest > 0 ? `${text}\n  ${style.paint.faint(`and ${rest} more groups`)}` : text;
}

function largest(report: InspectReport, style: Style): string {
  const own = report.tensors.filter((tensor) => tensor.aliasOf === undefined);
  const chosen = own.length <= LARGEST ? own : [...own].sort((a, b) => b.bytes - a.bytes).slice(0, LARGEST);
  if (chosen.length === 0) return '';
  return table(
    [
      { title: 'name', flexible: true },
      { title: 'dtype', paint: style.paint.number },
      { title: 'shape' },
      { title: 'size', align: 'right' },
    ],
    chosen.map((tensor) => [safe(tensor.name), tensor.dtype, shape(tensor.shape), size(tensor.bytes)]),
    style,
    '  ',
  );
}

function training({ training: state }: InspectReport, style: Style): string {
  if (!state) return '';
  const pairs: [string, string][] = [];
  if (state.optimizer !== undefined) pairs.push(['optimizer', safe(state.optimizer)]);
  if (state.step !== undefined) pairs.push(['step', figure(state.step)]);
  if (state.epoch !== undefined) pairs.push(['epoch', figure(state.epoch)]);
  if (state.loss !== undefined) pairs.push(['loss', figure(state.loss)]);
  if (state.learningRate !== undefined) pairs.push(['learning rate', figure(state.learningRate)]);
  const keys = keysOf(state.state);
  if (keys.length > 0) pairs.push(['holds', shorten(keys.map(safe).join(', '), 200)]);
  return fields(pairs, style, '  ');
}

const keysOf = (value: JsonValue | undefined): string[] =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.keys(value) : [];

/** Values as they are, or as JSON where they are nested; long ones are cut (JSON has them whole). */
export function metadata(values: Record<string, JsonValue>, style: Style): string {
  const entries = Object.entries(values);
  const room = Math.max(40, Math.min(style.width, 160) - 30);
  const pairs = entries.slice(0, METADATA_LINES).map(([key, value]): [string, string] => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return [shorten(safe(shorten(key, 60)), 60), shorten(safe(shorten(text, room)), room)];
  });
  const more = entries.length - METADATA_LINES;
  const text = fields(pairs, style, '  ');
  return more > 0 ? `${text}\n  ${style.paint.faint(`and ${plural(more, 'entry', 'entries')} more`)}` : text;
}
