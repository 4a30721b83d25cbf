import type { OptimizeReport, PassList } from '../../operations/optimize/report.js';
import type { WriteReport } from '../../operations/reports.js';
import type { Style } from '../style.js';
import { fields, table } from './table.js';

export const isOptimizeReport = (report: WriteReport): report is OptimizeReport =>
  report.command === 'optimize';

/** Operators that are shown. */
const SHOWN = 12;

/** What the passes did, and what became of the operators. */
export function passesSection({ optimize, speed }: OptimizeReport, style: Style): string {
  const { level, named, passes, nodesBefore, nodesAfter, ops } = optimize;
  const pairs: [string, string][] = [
    named ? ['passes', named.join(', ')] : ['level', level],
    ['nodes', `${nodesBefore} → ${nodesAfter}`],
    ...(speed
      ? [['latency', `${speed.beforeMs.toFixed(2)} → ${speed.afterMs.toFixed(2)} ms`] as [string, string]]
      : []),
  ];
  const changed = Object.entries(ops)
    .sort(([, a], [, b]) => Math.abs(b[1] - b[0]) - Math.abs(a[1] - a[0]))
    .slice(0, SHOWN);
  const done = table(
    [{ title: 'pass' }, { title: 'rewrites', align: 'right' }],
    passes.map(({ name, rewrites }) => [name, String(rewrites)]),
    style,
    '  ',
  );
  const operators = table(
    [
      { title: 'operator', flexible: true },
      { title: 'before', align: 'right' },
      { title: 'after', align: 'right' },
    ],
    changed.map(([name, [before, after]]) => [name, String(before), String(after)]),
    style,
    '  ',
  );
  return [
    fields(pairs, style, '  '),
    ...(passes.length === 0 ? [] : [done]),
    ...(changed.length === 0 ? [] : [operators]),
  ].join('\n\n');
}

export const renderPasses = ({ passes }: PassList, style: Style): string =>
  `${table(
    [
      { title: 'pass', paint: style.paint.name },
      { title: 'level' },
      { title: 'what it does', flexible: true },
    ],
    passes.map(({ name, level, summary }) => [name, level, summary]),
    style,
  )}\n`;
