import type {
  DeltaAddReport,
  DeltaCreateReport,
  DeltaLogReport,
  DeltaPruneReport,
  DeltaVerifyReport,
} from '../../operations/delta/report.js';
import { safe } from '../escape.js';
import type { Style } from '../style.js';
import { bar } from './charts.js';
import { change, duration, figure, plural, size } from './numbers.js';
import { table } from './table.js';

const BAR = 20;
const percent = (share: number): string => `${figure(share * 100)} %`;

/** The steps of a run, or a chain: what each takes, as numbers and as a picture. */
export function renderLog(
  { path, entries, bytes, tensorBytes, ratio }: DeltaLogReport,
  style: Style,
): string {
  const { paint } = style;
  if (entries.length === 0) return `${paint.strong(safe(path))} holds no steps yet\n`;
  const most = Math.max(...entries.map((entry) => entry.bytes), 1);
  const rows = table(
    [
      { title: 'name', flexible: true },
      { title: 'content' },
      { title: 'kind' },
      { title: 'size', align: 'right' },
      { title: 'ratio', align: 'right' },
      { title: '' },
    ],
    entries.map((entry) => [
      safe(entry.name),
      safe(entry.content?.slice(0, 12) ?? '–'),
      entry.base === null ? 'whole' : `delta, depth ${entry.depth}`,
      size(entry.bytes),
      `${figure(entry.ratio)}×`,
      bar(entry.bytes / most, BAR, style),
    ]),
    style,
    '  ',
  );
  const total = `${plural(entries.length, 'step')}, ${size(tensorBytes)} of tensors in ${size(bytes)}: ${change(ratio)}`;
  return `${paint.strong(safe(path))}\n${rows}\n  ${total}\n`;
}

export function renderVerify({ path, passed, checks, seconds }: DeltaVerifyReport, { paint }: Style): string {
  const head = passed ? paint.good('verified') : paint.bad('does not verify');
  const good = checks.filter(({ ok }) => ok).length;
  const bad = checks.flatMap(({ name, error }) =>
    error ? [`  ${paint.bad('damaged')} ${safe(name)}: ${safe(error.message)} (${safe(error.code)})`] : [],
  );
  const sum = `${good} of ${plural(checks.length, 'checkpoint')} as recorded, ${duration(seconds)}`;
  return `${[`${head} ${paint.strong(safe(path))}: ${sum}`, ...bad].join('\n')}\n`;
}

export function renderPrune(report: DeltaPruneReport, { paint }: Style): string {
  const { path, kept, dropped, rewritten, bytesIn, bytesOut, dryRun } = report;
  const head = dryRun ? 'would thin' : paint.good('thinned');
  const names = (list: readonly string[]): string =>
    list.length === 0 ? 'none' : `${list.slice(0, 8).map(safe).join(', ')}${list.length > 8 ? ', …' : ''}`;
  return [
    `${head} ${paint.strong(safe(path))}: ${size(bytesIn)} → ${size(bytesOut)}`,
    `  kept     ${kept.length}: ${names(kept)}`,
    `  dropped  ${dropped.length}: ${names(dropped)}`,
    `  rebuilt  ${rewritten.length}: ${names(rewritten)}`,
    '',
  ].join('\n');
}

/** What a delta says beyond any other output: how much changed and how it was stored. */
export function deltaSection(report: DeltaCreateReport | DeltaAddReport, style: Style): string {
  const codecs = Object.entries(report.codecs);
  const rows = table(
    [
      { title: 'stored as' },
      { title: 'tensors', align: 'right' },
      { title: 'before', align: 'right' },
      { title: 'after', align: 'right' },
      { title: 'share', align: 'right' },
    ],
    codecs.map(([name, { tensors, bytesIn, bytesOut }]) => [
      safe(name),
      String(tensors),
      size(bytesIn),
      size(bytesOut),
      bytesIn === 0 ? '–' : percent(bytesOut / bytesIn),
    ]),
    style,
    '  ',
  );
  const whole = report.base === null; // there is nothing that it could differ from
  const changed = `${plural(report.changedTensors, 'tensor')} changed, ${percent(report.changedFraction)} of the elements`;
  const facts = [
    ...(whole ? [] : [changed]),
    `${size(report.tensorBytes)} of tensors in ${size(report.bytesOut)}: ${change(report.ratio)}`,
    ...('keyframe' in report
      ? [`step ${safe(report.name)}, ${report.keyframe ? 'a keyframe' : `depth ${report.depth}`}`]
      : [`depth ${report.depth}`]),
    ...(report.lossy === undefined ? [] : [`made with loss: ${safe(report.lossy)}`]),
  ];
  return `${facts.map((fact) => `  ${fact}`).join('\n')}\n${rows}`;
}

/** A report of a verb that writes deltas. */
export const isDeltaReport = (report: object): report is DeltaCreateReport | DeltaAddReport =>
  'changedTensors' in report && 'codecs' in report;
