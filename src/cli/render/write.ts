import type { TensorAction, WriteReport } from '../../operations/reports.js';
import { safe } from '../escape.js';
import type { Style } from '../style.js';
import { bar } from './charts.js';
import { deltaSection, isDeltaReport } from './delta.js';
import { change, duration, figure, plural, shape, size } from './numbers.js';
import { isOptimizeReport, passesSection } from './optimize.js';
import { isPruneReport, levelsSection, zerosSection } from './prune.js';
import { isQuantizeReport, quantizeSections } from './quantize.js';
import { fields, table } from './table.js';
import { validationSection } from './validation.js';

const BAR = 24;
const WORST = 8;
const DONE = new Map([
  ['convert', 'converted'],
  ['meta', 'changed'],
  ['quantize', 'quantized'],
  ['prune', 'pruned'],
  ['optimize', 'optimized'],
  ['delta create', 'made'],
  ['delta squash', 'folded'],
  ['delta add', 'added'],
  ['delta apply', 'rebuilt'],
]);

/** What was written (or would be), how large it became, and what was proved. Findings go to stderr as warnings. */
export function renderWrite(report: WriteReport, style: Style): string {
  const { paint } = style;
  const failed = !report.validation.passed;
  const done = DONE.get(report.command) ?? `${safe(report.command)}:`;
  const verb = report.dryRun
    ? `would be ${done}`
    : failed
      ? `${paint.bad('not written:')} validation failed`
      : paint.good(done);
  const head = `${verb} ${paint.strong(safe(report.input))} → ${paint.strong(safe(report.output))}`;
  const sections = [
    `${head}\n${fields([...facts(report), ...sizes(report, style)], style, '  ')}`,
    section('Delta', isDeltaReport(report) && !report.dryRun ? deltaSection(report, style) : '', style),
    section('Plan', report.dryRun ? plan(report.tensors, style) : '', style),
    section('Largest errors', errors(report.tensors, style), style),
    ...(isQuantizeReport(report)
      ? quantizeSections(report, style).map(([heading, body]) => section(heading, body, style))
      : []),
    section('Saved', isPruneReport(report) ? zerosSection(report, style) : '', style),
    section('Sizes to choose from', isPruneReport(report) ? levelsSection(report, style) : '', style),
    section('Passes', isOptimizeReport(report) ? passesSection(report, style) : '', style),
    section('Validation', report.dryRun ? '' : validationSection(report.validation, style), style),
  ];
  return `${sections.filter((part) => part !== '').join('\n\n')}\n`;
}

const section = (heading: string, body: string, style: Style): string =>
  body === '' ? '' : `${style.paint.heading(heading)}\n${body}`;

function facts(report: WriteReport): [string, string][] {
  const files =
    report.files.length > 1
      ? [['files', report.files.map((file) => `${safe(file.name)} (${size(file.bytes)})`).join(', ')]]
      : [];
  return [
    ['format', safe(report.format)],
    ['tensors', actions(report.tensors)],
    ...(files as [string, string][]),
    ...(report.dryRun ? [] : [['time', duration(report.seconds)] as [string, string]]),
  ];
}

/** `58: 50 copy, 8 cast f32 → f16`. */
function actions(tensors: readonly TensorAction[]): string {
  const kinds = new Map<string, number>();
  for (const { action, dtypeIn, dtypeOut } of tensors) {
    const kind = dtypeIn === dtypeOut ? safe(action) : `${safe(action)} ${safe(dtypeIn)} → ${safe(dtypeOut)}`;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  const parts = [...kinds].sort(([, a], [, b]) => b - a).map(([kind, n]) => `${n} ${kind}`);
  return tensors.length === 0 ? 'none' : `${plural(tensors.length, 'tensor')}: ${parts.join(', ')}`;
}

/** Of the files: the report's own ratio may be that of something else (a delta's is of its tensors). */
function sizes({ bytesIn, bytesOut }: WriteReport, style: Style): [string, string][] {
  const most = Math.max(bytesIn, bytesOut, 1);
  const texts = [size(bytesIn), size(bytesOut)] as const;
  const width = Math.max(texts[0].length, texts[1].length);
  const line = (text: string, bytes: number): string =>
    `${text.padStart(width)}  ${style.paint.name(bar(bytes / most, BAR, style))}`;
  return [
    ['before', line(texts[0], bytesIn)],
    ['after', `${line(texts[1], bytesOut)}  ${change(bytesOut === 0 ? 0 : bytesIn / bytesOut)}`],
  ];
}

const plan = (tensors: readonly TensorAction[], style: Style): string =>
  tensors.length === 0
    ? '  no tensors'
    : table(
        [
          { title: 'name', flexible: true },
          { title: 'action' },
          { title: 'dtype', paint: style.paint.number },
          { title: 'shape' },
          { title: 'size', align: 'right' },
        ],
        tensors.map((tensor) => [
          safe(tensor.name),
          safe(tensor.action),
          tensor.dtypeIn === tensor.dtypeOut ? tensor.dtypeOut : `${tensor.dtypeIn} → ${tensor.dtypeOut}`,
          shape(tensor.shape),
          size(tensor.bytesOut),
        ]),
        style,
        '  ',
      );

function errors(tensors: readonly TensorAction[], style: Style): string {
  const lossy = tensors.flatMap((tensor) => (tensor.error ? [{ name: tensor.name, ...tensor.error }] : []));
  if (lossy.length === 0) return '';
  const worst = lossy.sort((a, b) => (a.sqnrDb ?? Infinity) - (b.sqnrDb ?? Infinity)).slice(0, WORST);
  return table(
    [
      { title: 'name', flexible: true },
      { title: 'max abs', align: 'right' },
      { title: 'rmse', align: 'right' },
      { title: 'SQNR dB', align: 'right' },
      { title: 'cosine', align: 'right' },
    ],
    worst.map((e) => [safe(e.name), figure(e.maxAbs), figure(e.rmse), figure(e.sqnrDb), figure(e.cosine)]),
    style,
    '  ',
  );
}
