import type { PresetReport, VariantEntry } from '../../operations/quantize/report.js';
import { safe } from '../escape.js';
import type { Style } from '../style.js';
import { findingLines } from './findings.js';
import { change, duration, figure, percent, plural, size } from './numbers.js';
import { type Column, table } from './table.js';

/** A line for every variant: how large it is, what it costs, how fast it runs. */
export function renderPreset(report: PresetReport, style: Style): string {
  const { paint } = style;
  const { variants, input, output, preset, seconds, dryRun } = report;
  const failed = variants.filter(({ outcome }) => outcome === 'failed').length;
  const written = variants.filter(({ outcome }) => outcome === 'written').length;
  const what = dryRun
    ? 'would be quantized'
    : failed > 0
      ? paint.bad('quantized in part')
      : paint.good('quantized');
  const counts = [
    ...(dryRun ? [] : [`${plural(written, 'file')} for ${safe(preset)}`]),
    ...(failed > 0 ? [paint.bad(`${failed} failed`)] : []),
    duration(seconds),
  ];
  const head = `${what} ${paint.strong(safe(input))} → ${paint.strong(safe(output))}: ${counts.join(', ')}`;
  const notes = findingLines(report.findings, style);
  return `${[head, rows(variants, report.bytesIn, style), ...notes, ...data(report, style)].join('\n')}\n`;
}

/** Ready to be pasted. */
function data({ externalData }: PresetReport, { paint }: Style): readonly string[] {
  if (Object.keys(externalData).length === 0) return [];
  return [
    `  ${paint.faint('data files: the client needs to know of them, as an option or in config.json under "transformers.js_config":')}`,
    `  "use_external_data_format": ${safe(JSON.stringify(externalData))}`,
  ];
}

function rows(variants: readonly VariantEntry[], bytesIn: number, style: Style): string {
  const labelled = variants.some(({ accuracy }) => accuracy !== undefined);
  const columns: Column[] = [
    { title: 'dtype' },
    { title: 'file', flexible: true },
    { title: 'size', align: 'right' },
    { title: '' },
    { title: 'max abs', align: 'right' },
    { title: 'cosine', align: 'right' },
    ...(labelled ? [{ title: 'accuracy', align: 'right' as const }] : []),
    { title: 'one run' },
  ];
  return table(
    columns,
    variants.map((variant) => [
      variant.dtype,
      variant.file,
      ...sizes(variant, bytesIn),
      variant.maxAbs === undefined ? '–' : figure(variant.maxAbs),
      variant.cosine === undefined ? '–' : figure(variant.cosine),
      ...(labelled ? [variant.accuracy === undefined ? '–' : percent(variant.accuracy)] : []),
      lastCell(variant),
    ]),
    style,
    '  ',
  );
}

const sizes = ({ outcome, bytes }: VariantEntry, bytesIn: number): readonly [string, string] =>
  bytes === 0 ? ['–', ''] : [size(bytes), outcome === 'source' ? 'the input' : change(bytesIn / bytes)];

function lastCell({ outcome, beforeMs, afterMs }: VariantEntry): string {
  if (outcome === 'failed') return 'failed, not written';
  return beforeMs === undefined || afterMs === undefined ? '' : `${figure(beforeMs)} → ${figure(afterMs)} ms`;
}
