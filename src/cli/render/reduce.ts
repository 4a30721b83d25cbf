import type { ReduceReport } from '../../operations/reduce/report.js';
import { safe } from '../escape.js';
import type { Style } from '../style.js';
import { findingLines } from './findings.js';
import { duration, plural, shape, size } from './numbers.js';
import { fields, table } from './table.js';

/** Nodes that are listed; JSON has all. */
const MOST = 40;

/** What is left of the graph, how it fails, and which files there are. */
export function renderReduce(report: ReduceReport, style: Style): string {
  const { paint } = style;
  const { nodesBefore, nodesAfter, checks, nodes } = report.reduce;
  const done = report.dryRun ? paint.warn('not written') : paint.good('reduced');
  const head = `${done}: ${paint.strong(safe(report.input))} to ${plural(nodesAfter, 'node')} of ${nodesBefore}, ${plural(checks, 'check')}, ${duration(report.seconds)}`;
  const rest = nodes.length - MOST;
  const findings = findingLines(
    report.findings.filter(({ severity }) => severity !== 'warning'),
    style,
  ).join('\n');
  return `${[
    head,
    fields(
      reduceFacts(report).map(([key, text]) => [key, safe(text)] as const),
      style,
      '  ',
    ),
    table(
      [{ title: 'node', flexible: true }, { title: 'operator' }, { title: 'makes' }],
      nodes
        .slice(0, MOST)
        .map(({ name, op, outputs }) => [name, op, outputs.filter((one) => one !== '').join(', ')]),
      style,
      '  ',
    ),
    rest > 0 ? `  ${paint.faint(`${plural(rest, 'node')} more: --json`)}` : '',
    findings,
  ]
    .filter((part) => part !== '')
    .join('\n')}\n`;
}

/** The same facts for the terminal and for pages, as plain text. */
export function reduceFacts({ output, bytesIn, bytesOut, reduce, dryRun }: ReduceReport): [string, string][] {
  const { failure, inputs, outputs, feeds, reference, proved, minimal } = reduce;
  const values = (list: typeof inputs): string =>
    list.map(({ name, dtype, shape: dims }) => `${name} ${dtype} ${shape(dims)}`).join(', ');
  return [
    ['failure', `${failure.kind}: ${failure.text}`],
    ['size', `${size(bytesIn)} → ${size(bytesOut)}`],
    ['inputs', inputs.length === 0 ? 'none' : values(inputs)],
    ['outputs', values(outputs)],
    ['smallest', minimal ? 'no node can be left out' : 'perhaps not: the checks were used up'],
    ['proved', proved ? 'the file fails in the same way' : 'no'],
    ...(dryRun ? [] : [['model', output] as [string, string]]),
    ...(feeds === undefined ? [] : [['feeds', feeds] as [string, string]]),
    ...(reference === undefined ? [] : [['reference', reference] as [string, string]]),
  ];
}
