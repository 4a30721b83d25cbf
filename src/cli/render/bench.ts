import type { BenchComparison, BenchModel, BenchReport, GateOutcome } from '../../operations/bench/report.js';
import { safe } from '../escape.js';
import type { Style } from '../style.js';
import { batchesOf, gateValue, labelsOf, ms, perSecond, range, VERDICTS, within } from './bench-numbers.js';
import { bar } from './charts.js';
import { duration, grouped, percent, plural, size } from './numbers.js';
import { rooflineSection } from './roofline.js';
import { type Column, table } from './table.js';

const BAR = 20;
const right = (title: string): Column => ({ title, align: 'right' });

/** Models side by side. */
export function renderBench(report: BenchReport, style: Style): string {
  const { paint } = style;
  const { settings, machine, models, comparisons, gates } = report;
  const head = `${paint.strong(plural(models.length, 'measurement'))} on ${safe(machine.cpu)}, ${plural(settings.threads, 'thread')}, feeds: ${safe(settings.feeds)}, ${duration(report.seconds)}`;
  const parts = [
    head,
    overview(models, style),
    ...batchesOf(report).map((batch) => latency(models, batch, style)),
    verdicts(comparisons, style),
    ...models.flatMap((model) => rooflineSection(model, style)),
    outcomes(gates, style),
    skips(models, style),
    paint.faint(`  ± is half of the interval: ${safe(settings.method)}`),
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

function overview(models: readonly BenchModel[], style: Style): string {
  const label = labelsOf(models);
  const scored = models.some(({ accuracy }) => accuracy);
  return table(
    [
      { title: 'model', flexible: true, paint: style.paint.name },
      right('size'),
      right('parameters'),
      right('load'),
      right('peak memory'),
      right('of it the model'),
      ...(scored ? [right('accuracy'), right('95 %')] : []),
    ],
    models.map((model) => {
      const { bytes, parameters, load, memory, accuracy, status } = model;
      return [
        `${label(model)}${status === 'failed' ? ' (failed)' : ''}`,
        bytes === undefined ? '–' : size(bytes),
        parameters === undefined ? '–' : grouped(parameters),
        load ? ms(load.p50) : '–',
        memory ? size(memory.peak) : '–',
        memory ? size(memory.model) : '–',
        ...(scored
          ? [accuracy ? percent(accuracy.share) : '–', range(accuracy?.interval ?? null, percent)]
          : []),
      ];
    }),
    style,
    '  ',
  );
}

function latency(models: readonly BenchModel[], batch: number, style: Style): string {
  const label = labelsOf(models);
  const rows = models.flatMap((model) => {
    const result = model.batches.find((one) => one.batch === batch);
    return result ? [{ model, result }] : [];
  });
  if (rows.length === 0) return '';
  const most = Math.max(...rows.map(({ result }) => result.latency.p50));
  return `${style.paint.heading(`Batch ${batch}`)}\n${table(
    [
      { title: 'model', flexible: true, paint: style.paint.name },
      ...['p50', '±', 'p95', 'p99', 'mean', 'samples/s', 'runs'].map(right),
      { title: 'p50', optional: true, paint: style.paint.number },
    ],
    rows.map(({ model, result: { latency: one, throughput, runs } }) => [
      label(model),
      ms(one.p50),
      within(one.p50, one.intervals.p50),
      ms(one.p95),
      ms(one.p99),
      ms(one.mean),
      perSecond(throughput.value),
      grouped(runs),
      bar(one.p50 / most, BAR, style),
    ]),
    style,
    '  ',
  )}`;
}

function verdicts(comparisons: readonly BenchComparison[], style: Style): string {
  const [first] = comparisons;
  if (!first) return '';
  const devices = new Set(comparisons.map(({ device }) => device)).size > 1;
  const { good, bad, faint } = style.paint;
  const paint = (text: string): string =>
    (text.startsWith('faster') ? good : text.startsWith('slower') ? bad : faint)(text);
  return `${style.paint.heading(`Median latency ÷ that of ${safe(first.against)}`)}\n${table(
    [
      { title: 'model', flexible: true, paint: style.paint.name },
      ...(devices ? [{ title: 'device' }] : []),
      ...['batch', 'ratio', '95 %'].map(right),
      { title: '', paint },
    ],
    comparisons.map(({ path, device, batch, ratio, interval, verdict }) => [
      path,
      ...(devices ? [device] : []),
      String(batch),
      ratio.toFixed(3),
      range(interval, (value) => value.toFixed(3)),
      VERDICTS[verdict],
    ]),
    style,
    '  ',
  )}`;
}

function outcomes(gates: readonly GateOutcome[], style: Style): string {
  if (gates.length === 0) return '';
  const { good, bad } = style.paint;
  return `${style.paint.heading('Gates')}\n${table(
    [
      { title: '', paint: (text) => (text.trim() === 'holds' ? good : bad)(text) },
      { title: 'gate' },
      { title: 'model', flexible: true, paint: style.paint.name },
      right('asked'),
      right('measured'),
    ],
    gates.map(({ gate, path, asked, measured, passed }) => [
      passed ? 'holds' : 'FAILS',
      `--${gate}`,
      path,
      gateValue(gate, asked),
      gateValue(gate, measured),
    ]),
    style,
    '  ',
  )}`;
}

function skips(models: readonly BenchModel[], style: Style): string {
  const label = labelsOf(models);
  return models
    .flatMap((model) =>
      model.skipped.map(
        ({ batch, reason }) =>
          `  ${style.paint.faint(`${safe(label(model))}: not at batch ${batch}: ${safe(reason)}`)}`,
      ),
    )
    .join('\n');
}
