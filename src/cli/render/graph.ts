import type { GraphEntry, ValueInfoEntry } from '../../operations/reports.js';
import { safe } from '../escape.js';
import type { Style } from '../style.js';
import { bar } from './charts.js';
import { grouped, plural, shape } from './numbers.js';
import { fields, table } from './table.js';

const VALUES = 12;
const OPS = 8;
const BAR = 24;

/** Inputs, outputs and operators of a graph; `all` lists every operator with a bar. */
export function graphSection(graph: GraphEntry | undefined, all: boolean, style: Style): string {
  if (!graph) return '';
  const opsets = Object.entries(graph.opsets)
    .map(([domain, version]) => `${domain === '' ? 'opset' : safe(domain)} ${version}`)
    .join(', ');
  const ops = Object.entries(graph.ops).sort(([, a], [, b]) => b - a);
  const extras = [
    ...(graph.subgraphs > 0 ? [plural(graph.subgraphs, 'sub-graph')] : []),
    ...(graph.functions > 0 ? [plural(graph.functions, 'function')] : []),
  ];
  const pairs: [string, string][] = [
    ['version', `IR ${graph.irVersion}, ${opsets}`],
    ...(graph.producer === '' ? [] : [['producer', safe(graph.producer)] as [string, string]]),
    ...values('input', graph.inputs, all),
    ...values('output', graph.outputs, all),
    ['nodes', [grouped(graph.nodes), ...extras].join(', ')],
  ];
  if (!all && ops.length > 0) pairs.push(['operators', summary(ops)]);
  const text = fields(pairs, style, '  ');
  return all && ops.length > 0 ? `${text}\n${operatorTable(ops, style)}` : text;
}

function values(title: string, list: readonly ValueInfoEntry[], all: boolean): [string, string][] {
  const shown = all ? list : list.slice(0, VALUES);
  const lines = shown.map((value, i): [string, string] => [
    i === 0 ? `${title}${list.length === 1 ? '' : 's'}` : '',
    `${safe(value.name)}  ${safe(value.dtype)} ${safe(shape(value.shape))}`,
  ]);
  if (shown.length < list.length) lines.push(['', `and ${list.length - shown.length} more`]);
  return lines;
}

function summary(ops: readonly (readonly [string, number])[]): string {
  const shown = ops.slice(0, OPS).map(([op, times]) => `${safe(op)} ${times}`);
  return [...shown, ...(ops.length > OPS ? [`and ${ops.length - OPS} other kinds`] : [])].join(', ');
}

function operatorTable(ops: readonly (readonly [string, number])[], style: Style): string {
  const most = ops[0]?.[1] ?? 1;
  return table(
    [
      { title: 'operator', flexible: true },
      { title: 'count', align: 'right' },
      { title: '', optional: true, paint: style.paint.name },
    ],
    ops.map(([op, times]) => [safe(op), grouped(times), bar(times / most, BAR, style)]),
    style,
    '  ',
  );
}
