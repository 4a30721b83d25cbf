import type { BenchReport } from '../../operations/bench/report.js';
import { html } from '../escape.js';
import {
  batchesOf,
  gateValue,
  labelsOf,
  ms,
  perSecond,
  range,
  VERDICTS,
  within,
} from '../render/bench-numbers.js';
import { duration, figure, grouped, percent, size } from '../render/numbers.js';
import { latencyChart, type Named, sizeChart, throughputChart } from './bench-charts.js';
import { type HtmlColumn, htmlTable, page, raw, section, tiles, verdict } from './page.js';
import { findingsPart } from './parts.js';
import { legend } from './plot.js';
import { rooflinePart } from './roofline.js';
import { histogram } from './svg.js';

const right = (title: string): HtmlColumn => ({ title, right: true });
const model: HtmlColumn = { title: 'model', code: true };

export function benchPage(report: BenchReport): string {
  const { settings, machine, gates, models, seconds } = report;
  const labelOf = labelsOf(models);
  const named = models.map((one) => ({ label: labelOf(one), model: one }));
  return page(`mlser bench ${models.map(({ path }) => path).join(', ')}`, [
    '<h1>mlser bench</h1>',
    tiles([
      ...(gates.length > 0 ? [['gates', verdict(report.passed, 'hold', 'fail')] as const] : []),
      ['models', grouped(new Set(models.map(({ path }) => path)).size)],
      ['feeds', settings.feeds],
      ['threads', grouped(settings.threads)],
      ['processes each', grouped(settings.processes)],
      ['time', duration(seconds)],
    ]),
    `<p class="faint">${html(`${machine.cpu}, ${machine.cores} cores, ${machine.platform}, Node ${machine.node}`)}</p>`,
    findingsPart(report.findings),
    section('Models', overview(named)),
    section(
      'Latency',
      legend(named.map(({ label }) => label)),
      ...batchesOf(report).map((b) => latency(named, b)),
    ),
    section('Throughput by batch', throughputChart(named)),
    section('Size and latency', sizeChart(named, 'latency')),
    section('Size and accuracy', sizeChart(named, 'accuracy')),
    section('Compared with the first', comparisons(report)),
    section('Gates', gateTable(report)),
    ...models.map(rooflinePart),
    section('How', `<p>${html(`Intervals: ${settings.method}.`)}</p>`, `<p>${html(turnsText(report))}</p>`),
  ]);
}

const turnsText = ({ settings }: BenchReport): string =>
  `Models took turns, in an order drawn anew each time (seed ${settings.seed}), every one in ${settings.processes} fresh processes; each turn begins with a run that does not count. Memory is what a process had in RAM at most.`;

const overview = (named: readonly Named[]): string =>
  htmlTable(
    [
      model,
      { title: 'device' },
      ...['size', 'parameters', 'load', 'peak memory', 'of it the model', 'accuracy', '95 %'].map(right),
      { title: 'not measured' },
    ],
    named.map(({ model: one }) => [
      one.path,
      one.device,
      one.bytes === undefined ? '–' : size(one.bytes),
      one.parameters === undefined ? '–' : grouped(one.parameters),
      one.load ? `${ms(one.load.p50)} (${ms(one.load.min)} to ${ms(one.load.max)})` : '–',
      one.memory ? size(one.memory.peak) : '–',
      one.memory ? size(one.memory.model) : '–',
      one.accuracy ? percent(one.accuracy.share) : '–',
      range(one.accuracy?.interval ?? null, percent),
      one.error?.message ?? one.skipped.map(({ batch, reason }) => `batch ${batch}: ${reason}`).join('; '),
    ]),
  );

function latency(named: readonly Named[], batch: number): string {
  const rows = named.flatMap(({ label, model: { batches } }) => {
    const result = batches.find((one) => one.batch === batch);
    return result ? [{ label, result }] : [];
  });
  if (rows.length === 0) return '';
  return [
    latencyChart(named, batch),
    htmlTable(
      [
        model,
        ...['p50', '95 %', '±', 'p95', 'p99', 'mean', 'min', 'max', 'samples/s', 'runs'].map(right),
        { title: 'distribution' },
      ],
      rows.map(({ label, result: { latency: one, throughput, runs } }) => [
        label,
        ms(one.p50),
        range(one.intervals.p50, ms),
        within(one.p50, one.intervals.p50),
        ms(one.p95),
        ms(one.p99),
        ms(one.mean),
        ms(one.min),
        ms(one.max),
        perSecond(throughput.value),
        grouped(runs),
        raw(histogram(one.histogram.counts, `${ms(one.histogram.min)} to ${ms(one.histogram.max)}`)),
      ]),
    ),
  ].join('\n');
}

const comparisons = ({ comparisons: list }: BenchReport): string =>
  list.length === 0
    ? ''
    : htmlTable(
        [
          model,
          { title: 'against', code: true },
          { title: 'device' },
          ...['batch', 'ratio', '95 %'].map(right),
          { title: '' },
        ],
        list.map(({ path, against, device, batch, ratio, interval, verdict: says }) => [
          ...[path, against, device, batch, figure(ratio)],
          range(interval, figure),
          VERDICTS[says],
        ]),
      );

const gateTable = ({ gates }: BenchReport): string =>
  gates.length === 0
    ? ''
    : htmlTable(
        [
          { title: '' },
          { title: 'gate', code: true },
          model,
          { title: 'device' },
          right('asked'),
          right('measured'),
        ],
        gates.map(({ gate, path, device, asked, measured, passed }) => [
          verdict(passed, 'holds', 'fails'),
          `--${gate}`,
          ...[path, device, gateValue(gate, asked), gateValue(gate, measured)],
        ]),
      );
