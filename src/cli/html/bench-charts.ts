import type { BatchResult, BenchModel, Interval } from '../../operations/bench/report.js';
import { html, shorten } from '../escape.js';
import { ms, perSecond, range } from '../render/bench-numbers.js';
import { percent, size } from '../render/numbers.js';
import { type Canvas, colour, legend, linearAxis, logAxis, PLOT_LEFT, placeAxis, plot } from './plot.js';

/** What a chart is drawn from: a model with the name that it has on the page. */
export interface Named {
  readonly label: string;
  readonly model: BenchModel;
}

const ROW = 40;
/** Times from the shortest to the longest that are shown with equal steps. */
const WIDE = 8;

/** The spread of latency at one batch: quartiles as a box, 95th percentile as a tick, a line to the 99th. */
export function latencyChart(models: readonly Named[], batch: number): string {
  const rows = models.flatMap(({ label, model }, index) => {
    const result = model.batches.find((one) => one.batch === batch);
    return result ? [{ label, index, one: result.latency }] : [];
  });
  if (rows.length === 0) return '';
  // A machine that pauses now and then has a long tail, beside which all boxes would be one line.
  const [least, most] = [
    Math.min(...rows.map(({ one }) => one.min)),
    Math.max(...rows.map(({ one }) => one.p99)),
  ];
  const labels = {
    title: `latency at batch ${batch}`,
    text: (value: number) => (value === 0 ? '0' : ms(value)),
  };
  const across = (most > least * WIDE ? logAxis : linearAxis)([least, most], labels);
  const up = placeAxis(rows.map(({ index }) => index).reverse(), { title: '', text: () => '' });
  const draw = ({ x, y }: Canvas): string[] =>
    rows.map(({ label, index, one }) => {
      const middle = Number(y(index));
      const line = (from: number, to: number): string =>
        `<line x1="${x(from)}" y1="${middle}" x2="${x(to)}" y2="${middle}" stroke="${colour(index)}" stroke-width="1.5"/>`;
      const tick = (value: number, half: number, width: number): string =>
        `<line x1="${x(value)}" y1="${middle - half}" x2="${x(value)}" y2="${middle + half}" stroke="${colour(index)}" stroke-width="${width}"/>`;
      const title = `${label}: median ${ms(one.p50)} (${range(one.intervals.p50, ms)}), p95 ${ms(one.p95)}, p99 ${ms(one.p99)}, ${ms(one.min)} to ${ms(one.max)}`;
      const box = `<rect x="${x(one.p25)}" y="${middle - 8}" width="${Math.max(1, Number(x(one.p75)) - Number(x(one.p25)))}" height="16" fill="${colour(index)}" fill-opacity="0.3" stroke="${colour(index)}"/>`;
      const name = `<text class="faint" x="${PLOT_LEFT + 4}" y="${middle - 12}">${html(shorten(label, 100))}</text>`;
      return `<g><title>${html(title)}</title>${name}${line(one.min, one.p25)}${line(one.p75, one.p99)}${box}${tick(one.p50, 8, 3)}${tick(one.p95, 6, 1.5)}${tick(one.p99, 3, 1.5)}</g>`;
    });
  return plot(`latency at batch ${batch}`, [across, up], 70 + rows.length * ROW, draw);
}

/** Samples a second by batch, with intervals. */
export function throughputChart(models: readonly Named[]): string {
  const batches = [...new Set(models.flatMap(({ model }) => model.batches.map(({ batch }) => batch)))].sort(
    (a, b) => a - b,
  );
  if (batches.length === 0) return '';
  const across = placeAxis(batches, { title: 'samples a run', text: String });
  const up = linearAxis(
    models.flatMap(({ model }) =>
      model.batches.map(({ throughput }) => throughput.interval?.[1] ?? throughput.value),
    ),
    { title: 'samples a second', text: perSecond },
  );
  const draw = ({ x, y }: Canvas): string[] =>
    models.map(({ label, model }, index) => {
      const sorted = [...model.batches].sort((a, b) => a.batch - b.batch);
      const points = sorted.map(({ batch, throughput }) => `${x(batch)},${y(throughput.value)}`).join(' ');
      const whisker = ({ batch, throughput: { interval } }: BatchResult): string =>
        interval
          ? `<line x1="${x(batch)}" y1="${y(interval[0])}" x2="${x(batch)}" y2="${y(interval[1])}" stroke="${colour(index)}"/>`
          : '';
      const mark = (one: BatchResult): string =>
        `<g><title>${html(`${label}, batch ${one.batch}: ${perSecond(one.throughput.value)} samples/s (${range(one.throughput.interval, perSecond)})`)}</title>${whisker(one)}<circle cx="${x(one.batch)}" cy="${y(one.throughput.value)}" r="4" fill="${colour(index)}"/></g>`;
      return `<polyline points="${points}" fill="none" stroke="${colour(index)}" stroke-width="2"/>${sorted.map(mark).join('')}`;
    });
  return plot('throughput by batch', [across, up], 300, draw) + legend(models.map(({ label }) => label));
}

/** Size across, and up what it buys: latency, or accuracy. */
export function sizeChart(models: readonly Named[], what: 'latency' | 'accuracy'): string {
  const points = models.flatMap(({ label, model }, index) => {
    const value = what === 'latency' ? model.batches[0]?.latency.p50 : model.accuracy?.share;
    return model.bytes === undefined || value === undefined
      ? []
      : [{ label, index, bytes: model.bytes, value, ends: endsOf(model, what) }];
  });
  if (points.length === 0) return '';
  const across = linearAxis(
    points.map(({ bytes }) => bytes),
    { title: 'size of the files', text: size },
  );
  const text = what === 'latency' ? ms : percent;
  const up = linearAxis(
    points.flatMap(({ value, ends }) => [value, ...(ends ?? [])]),
    {
      title: what === 'latency' ? 'median latency' : 'accuracy',
      text: (value) => (value === 0 ? '0' : text(value)),
    },
    what === 'accuracy',
  );
  const draw = ({ x, y }: Canvas): string[] =>
    points.map(
      ({ label, index, bytes, value, ends }) =>
        `<g><title>${html(`${label}: ${size(bytes)}, ${text(value)} (${range(ends, text)})`)}</title>${ends ? `<line x1="${x(bytes)}" y1="${y(ends[0])}" x2="${x(bytes)}" y2="${y(ends[1])}" stroke="${colour(index)}"/>` : ''}<circle cx="${x(bytes)}" cy="${y(value)}" r="6" fill="${colour(index)}" fill-opacity="0.8"/></g>`,
    );
  return plot(`size and ${what}`, [across, up], 280, draw) + legend(models.map(({ label }) => label));
}

const endsOf = ({ batches, accuracy }: BenchModel, what: 'latency' | 'accuracy'): Interval =>
  (what === 'latency' ? batches[0]?.latency.intervals.p50 : accuracy?.interval) ?? null;
