import type { TensorEntry } from '../../operations/reports.js';
import { safe } from '../escape.js';
import type { Style } from '../style.js';
import { sparkline } from './charts.js';
import { figure, grouped, percent, shape, size } from './numbers.js';
import { type Column, table } from './table.js';

interface Field extends Column {
  /** Shown if any tensor has something to say in it. */
  readonly text: (tensor: TensorEntry) => string | undefined;
}

/** A line per tensor with every fact that the report has. */
export function tensorTable(tensors: readonly TensorEntry[], style: Style): string {
  const shown = columns(style).filter((field) => tensors.some((t) => field.text(t) !== undefined));
  const rows = tensors.map((tensor) => shown.map((field) => field.text(tensor) ?? ''));
  return tensors.length === 0 ? '  none' : table(shown, rows, style, '  ');
}

const columns = (style: Style): Field[] => [
  { title: 'name', flexible: true, text: (t) => safe(t.name) },
  { title: 'dtype', paint: style.paint.number, text: (t) => t.dtype },
  { title: 'shape', text: (t) => shape(t.shape) },
  { title: 'size', align: 'right', text: (t) => size(t.bytes) },
  { title: 'role', text: (t) => (t.role === 'parameter' ? undefined : t.role) },
  { title: 'same as', text: (t) => (t.aliasOf === undefined ? undefined : safe(t.aliasOf)) },
  { title: 'min', align: 'right', text: (t) => t.stats && figure(t.stats.min) },
  { title: 'max', align: 'right', text: (t) => t.stats && figure(t.stats.max) },
  { title: 'mean', align: 'right', text: (t) => t.stats && figure(t.stats.mean) },
  { title: 'std', align: 'right', text: (t) => t.stats && figure(t.stats.std) },
  {
    title: 'zeros',
    align: 'right',
    text: (t) => t.stats && percent(t.stats.count === 0 ? 0 : t.stats.zeros / t.stats.count),
  },
  { title: 'nan', align: 'right', paint: style.paint.bad, text: (t) => some(t.stats?.nan) },
  { title: 'inf', align: 'right', paint: style.paint.bad, text: (t) => some(t.stats?.inf) },
  {
    title: 'distinct',
    align: 'right',
    text: (t) => t.stats && (t.stats.distinct === undefined ? '> 65536' : grouped(t.stats.distinct)),
  },
  { title: 'entropy', align: 'right', text: (t) => t.stats && figure(t.stats.entropy) },
  {
    title: 'histogram',
    paint: style.paint.name,
    text: (t) => t.stats?.histogram && sparkline(t.stats.histogram.counts, style),
  },
  { title: 'sha256', paint: style.paint.faint, text: (t) => t.sha256 },
];

/** Not a number and infinite are worth a column only where they occur. */
const some = (value: number | undefined): string | undefined => (value ? grouped(value) : undefined);
