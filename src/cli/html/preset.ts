import type { PresetReport } from '../../operations/quantize/report.js';
import { html } from '../escape.js';
import { duration, figure, percent, size } from '../render/numbers.js';
import { htmlTable, page, section, tiles } from './page.js';
import { findingsPart } from './parts.js';
import { barChart } from './svg.js';

export function presetPage(report: PresetReport): string {
  const { input, output, preset, variants, findings, seconds, bytesIn, externalData } = report;
  const all = variants.flatMap(({ dtype, findings: own }) =>
    own.map((finding) => ({ ...finding, subject: `${dtype}: ${finding.subject}` })),
  );
  return page(`mlser quantize ${input}`, [
    `<h1>${html(input)} → ${html(output)}</h1>`,
    tiles([
      ['preset', preset],
      ['written', String(variants.filter(({ outcome }) => outcome === 'written').length)],
      ['failed', String(variants.filter(({ outcome }) => outcome === 'failed').length)],
      ['input', size(bytesIn)],
      ['time', duration(seconds)],
    ]),
    section(
      'Size',
      barChart(variants.map(({ dtype, bytes }) => ({ label: dtype, value: bytes, text: size(bytes) }))),
    ),
    section('Variants', table(report)),
    ...(Object.keys(externalData).length === 0
      ? []
      : [section('use_external_data_format', `<p><code>${html(JSON.stringify(externalData))}</code></p>`)]),
    findingsPart([...findings, ...all]),
  ]);
}

const table = ({ variants }: PresetReport): string =>
  htmlTable(
    [
      { title: 'dtype', code: true },
      { title: 'file', code: true },
      { title: 'scheme', code: true },
      { title: 'outcome' },
      ...['size', 'max abs', 'cosine', 'accuracy', 'ms before', 'ms after'].map((title) => ({
        title,
        right: true,
      })),
    ],
    variants.map(({ dtype, file, scheme, outcome, bytes, maxAbs, cosine, accuracy, beforeMs, afterMs }) => [
      ...[dtype, file, scheme, outcome, size(bytes)],
      ...[maxAbs, cosine].map((value) => (value === undefined ? '–' : figure(value))),
      accuracy === undefined ? '–' : percent(accuracy),
      ...[beforeMs, afterMs].map((value) => (value === undefined ? '–' : figure(value))),
    ]),
  );
