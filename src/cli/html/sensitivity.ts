import type { SensitivityReport } from '../../operations/quantize/report.js';
import { html } from '../escape.js';
import { duration, figure, grouped, percent, size } from '../render/numbers.js';
import { htmlTable, page, section, tiles } from './page.js';
import { findingsPart } from './parts.js';
import { barChart } from './svg.js';

const WORST = 40;

export function sensitivityPage(report: SensitivityReport): string {
  const { layers, path, scheme, synthetic, seconds, findings } = report;
  return page(`mlser sensitivity ${path}`, [
    `<h1>${html(path)}</h1>`,
    tiles([
      ['scheme', scheme],
      ['weights', grouped(layers.length)],
      ['inputs', synthetic ? 'made up' : 'given'],
      ['time', duration(seconds)],
    ]),
    findingsPart(findings),
    section(
      'Loss of each weight alone (1 − cosine of the worst output, logarithmic)',
      barChart(
        layers.slice(0, WORST).map(({ name, cosine }) => {
          const loss = Math.max(0, 1 - (cosine ?? 1));
          return { label: name, value: loss, text: figure(loss) };
        }),
        { log: true },
      ),
    ),
    section('Weights', table(report)),
  ]);
}

const table = ({ layers }: SensitivityReport): string =>
  htmlTable(
    [
      { title: 'name', code: true },
      ...['before', 'after', 'weight dB', 'output dB', 'max abs', 'accuracy'].map((title) => ({
        title,
        right: true,
      })),
    ],
    layers.map((layer) => [
      layer.name,
      size(layer.bytesIn),
      size(layer.bytesOut),
      figure(layer.weightSqnrDb),
      figure(layer.sqnrDb),
      figure(layer.maxAbs),
      layer.accuracy === undefined ? '–' : percent(layer.accuracy),
    ]),
  );
