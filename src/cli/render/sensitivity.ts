import type { SensitivityReport } from '../../operations/quantize/report.js';
import { safe } from '../escape.js';
import type { Style } from '../style.js';
import { bar } from './charts.js';
import { duration, figure, percent, plural, size } from './numbers.js';
import { table } from './table.js';

const BAR = 16;

/** The weights by what quantizing each alone costs, the dearest first. */
export function renderSensitivity(report: SensitivityReport, style: Style): string {
  const { paint } = style;
  const { layers, path, scheme, synthetic, seconds } = report;
  const labelled = layers.some(({ accuracyDrop }) => accuracyDrop !== undefined);
  const losses = layers.map(({ cosine }) => 1 - (cosine ?? 1));
  const most = Math.max(...losses, 1e-12);
  const rows = table(
    [
      { title: 'weight', flexible: true },
      { title: 'before', align: 'right' },
      { title: 'after', align: 'right' },
      { title: 'weight SQNR dB', align: 'right' },
      { title: 'output SQNR dB', align: 'right' },
      ...(labelled ? [{ title: 'accuracy', align: 'right' as const }] : []),
      { title: '1 − cosine', align: 'right' },
      { title: '' },
    ],
    layers.map((layer, i) => [
      safe(layer.name),
      size(layer.bytesIn),
      size(layer.bytesOut),
      figure(layer.weightSqnrDb),
      figure(layer.sqnrDb),
      ...(labelled ? [layer.accuracy === undefined ? '–' : percent(layer.accuracy)] : []),
      figure(losses[i] ?? 0),
      bar((losses[i] ?? 0) / most, BAR, style),
    ]),
    style,
    '  ',
  );
  const note = synthetic ? `\n  ${paint.faint('on made-up inputs: give real ones with --inputs')}` : '';
  const head = `${paint.strong(safe(path))}: ${safe(scheme)}, ${plural(layers.length, 'weight')} one by one${accuracyBefore(layers)}, ${duration(seconds)}`;
  return `${head}\n${rows}${note}\n`;
}

/** That of the whole, untouched model, which every row is to be compared with. */
function accuracyBefore(layers: SensitivityReport['layers']): string {
  const [known] = layers.flatMap(({ accuracy, accuracyDrop }) =>
    accuracy === undefined || accuracyDrop === undefined ? [] : [accuracy + accuracyDrop],
  );
  return known === undefined ? '' : `, accuracy as it is ${percent(known)}`;
}
