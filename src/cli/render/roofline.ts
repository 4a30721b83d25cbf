import type { BenchModel, Roof, Roofline } from '../../operations/bench/report.js';
import { safe } from '../escape.js';
import type { Style } from '../style.js';
import { ms } from './bench-numbers.js';
import { bar } from './charts.js';
import { count, figure, percent, size } from './numbers.js';
import { type Column, table } from './table.js';

const BAR = 12;
const OPERATORS = 15;
const NODES = 5;
const right = (title: string): Column => ({ title, align: 'right' });

/** Where the time of a model goes, and what the machine could do in it. */
export function rooflineSection({ path, roofline }: BenchModel, style: Style): string[] {
  if (!roofline) return [];
  const { heading, faint } = style.paint;
  return [
    `${heading(`Operators of ${safe(path)}, batch ${roofline.batch}`)}\n${rooflineFacts(roofline)
      .map((line) => `  ${faint(line)}`)
      .join('\n')}\n${operators(roofline, style)}`,
    `${heading('Longest nodes')}\n${nodes(roofline, style)}`,
  ];
}

/** A few lines of what was measured, for the terminal and for pages. */
export function rooflineFacts({ peak, ms: times, flops, bytes, runs }: Roofline): string[] {
  const ridge = peak.flops / peak.bandwidth;
  return [
    `this machine: ${figure(peak.flops / 1e9)} GFLOP/s (f32 MatMul), ${figure(peak.bandwidth / 1e9)} GB/s (copy); above ${figure(ridge)} FLOP a byte computing is the bound`,
    `a run under the profiler: ${ms(times.run)}, of it ${ms(times.operators)} in operators; ${count(flops)} FLOP, ${size(bytes)} moved; mean of ${runs} runs without the outer tenths`,
  ];
}

/** The columns that operators and nodes share, as text. */
export const roofCells = ({
  ms: time,
  share,
  flops,
  bytes,
  intensity,
  gflops,
  gbps,
  attained,
  bound,
}: Roof) => [
  ms(time),
  percent(share),
  flops === null ? '–' : count(flops),
  size(bytes),
  figure(intensity),
  figure(gflops),
  figure(gbps),
  percent(attained),
  bound,
];
export const ROOF_TITLES = ['time', 'share', 'FLOP', 'bytes', 'FLOP/byte', 'GFLOP/s', 'GB/s', 'of the roof'];

function operators({ operators: list }: Roofline, style: Style): string {
  const most = Math.max(...list.map(({ share }) => share), 1e-9);
  return table(
    [
      { title: 'operator', flexible: true, paint: style.paint.name },
      right('nodes'),
      ...ROOF_TITLES.map(right),
      { title: 'bound by' },
      { title: '', optional: true, paint: style.paint.number },
    ],
    list
      .slice(0, OPERATORS)
      .map((one) => [one.op, String(one.nodes), ...roofCells(one), bar(one.share / most, BAR, style)]),
    style,
    '  ',
  );
}

const nodes = ({ nodes: list }: Roofline, style: Style): string =>
  table(
    [
      { title: 'node', flexible: true, paint: style.paint.name },
      { title: 'operator' },
      ...ROOF_TITLES.map(right),
      { title: 'bound by' },
    ],
    list.slice(0, NODES).map((one) => [one.name || '(no name)', one.op, ...roofCells(one)]),
    style,
    '  ',
  );
