import type { BenchModel, OperatorRoof, Roof, Roofline } from '../../operations/bench/report.js';
import { html } from '../escape.js';
import { ms } from '../render/bench-numbers.js';
import { figure, percent } from '../render/numbers.js';
import { ROOF_TITLES, roofCells, rooflineFacts } from '../render/roofline.js';
import { type HtmlColumn, htmlTable, section } from './page.js';
import { type Canvas, colour, logAxis, plot } from './plot.js';

/** Points with a name in the chart; the table has all. */
const NAMED = 8;

/** Where the time of a model goes, under the roof of this machine. */
export function rooflinePart({ path, roofline }: BenchModel): string {
  if (!roofline) return '';
  return section(
    `Roofline of ${path}, batch ${roofline.batch}`,
    ...rooflineFacts(roofline).map((line) => `<p class="faint">${html(line)}</p>`),
    chart(roofline),
    '<p class="faint">by operator</p>',
    htmlTable(
      [{ title: 'operator', code: true }, { title: 'nodes', right: true }, ...COLUMNS],
      roofline.operators.map((one) => [one.op, one.nodes, ...roofCells(one)]),
    ),
    '<p class="faint">longest nodes</p>',
    htmlTable(
      [{ title: 'node', code: true }, { title: 'operator', code: true }, { title: 'takes' }, ...COLUMNS],
      roofline.nodes.map((one) => [one.name, one.op, one.shapes.join(', '), ...roofCells(one)]),
    ),
  );
}

const COLUMNS: readonly HtmlColumn[] = [
  ...ROOF_TITLES.map((title) => ({ title, right: true })),
  { title: 'bound by' },
];

type Point = OperatorRoof & { readonly intensity: number; readonly gflops: number };
const counted = (one: OperatorRoof): one is Point => (one.intensity ?? 0) > 0 && (one.gflops ?? 0) > 0;

/** Operations a byte across, operations a second up, both logarithmic: no point can lie above the roof by much. */
function chart({ operators, peak }: Roofline): string {
  const points = operators.filter(counted);
  if (points.length === 0) return '';
  const ridge = peak.flops / peak.bandwidth;
  const top = peak.flops / 1e9;
  const across = logAxis([...points.map(({ intensity }) => intensity), ridge / 20, ridge * 20], {
    title: 'FLOP a byte',
    text: figure,
  });
  const [first = 1] = across.ticks;
  const last = across.ticks.at(-1) ?? ridge;
  const slope = (intensity: number): number => (intensity * peak.bandwidth) / 1e9;
  const up = logAxis([...points.map(({ gflops }) => gflops), top, Math.min(top, slope(first))], {
    title: 'GFLOP a second',
    text: figure,
  });
  const draw = ({ x, y }: Canvas): string[] => [
    `<polyline points="${x(first)},${y(slope(first))} ${x(ridge)},${y(top)} ${x(last)},${y(top)}" fill="none" stroke="var(--fg)" stroke-width="2"><title>${html(`${figure(top)} GFLOP/s, ${figure(peak.bandwidth / 1e9)} GB/s`)}</title></polyline>`,
    ...points.map((point, i) => {
      const [cx, cy] = [x(point.intensity), y(point.gflops)];
      const name =
        i < NAMED
          ? `<text x="${cx}" y="${cy}" dx="${Math.round(radius(point)) + 4}" dy="4">${html(point.op)}</text>`
          : '';
      return `<g><title>${html(titleOf(point))}</title><circle cx="${cx}" cy="${cy}" r="${radius(point).toFixed(1)}" fill="${colour(i)}" fill-opacity="0.7"/></g>${name}`;
    }),
  ];
  return plot('roofline', [across, up], 360, draw);
}

/** The area of a point is its share of the time. */
const radius = ({ share }: Roof): number => 3 + 14 * Math.sqrt(share);

const titleOf = (point: Point): string =>
  `${point.op} × ${point.nodes}: ${ms(point.ms)} (${percent(point.share)}), ${figure(point.gflops)} GFLOP/s at ${figure(point.intensity)} FLOP a byte, ${percent(point.attained)} of the roof, bound by ${point.bound}`;
