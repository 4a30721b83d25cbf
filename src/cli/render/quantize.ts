import type { QuantizeReport } from '../../operations/quantize/report.js';
import type { WriteReport } from '../../operations/reports.js';
import { safe } from '../escape.js';
import type { Style } from '../style.js';
import { figure, size } from './numbers.js';
import { fields, table } from './table.js';

/** Speed with its reasons, and the sizes that could be had. */
export function quantizeSections(
  report: QuantizeReport,
  style: Style,
): readonly (readonly [string, string])[] {
  return [
    ['Speed', speedSection(report.speed, style)],
    ['Sizes to choose from', frontier(report, style)],
  ];
}

/** How long a run takes before and after, and why. */
export function speedSection(found: QuantizeReport['speed'], style: Style): string {
  if (!found) return '';
  const { beforeMs, afterMs, integerKernels, floatKernels, dequantize, layoutCopies, notes } = found;
  const ratio = afterMs === 0 ? 1 : beforeMs / afterMs;
  const times = ratio >= 1 ? `${figure(ratio)} times faster` : `${figure(1 / ratio)} times slower`;
  const pairs: [string, string][] = [
    ['one run', `${figure(beforeMs)} ms → ${figure(afterMs)} ms, ${times}`],
    ['computes', `${integerKernels} operators with integers, ${floatKernels} heavy ones with floats`],
    ['besides', `${dequantize} DequantizeLinear, ${layoutCopies} layout copies`],
    ...notes.map((note): [string, string] => ['note', safe(note)]),
  ];
  return fields(pairs, style, '  ');
}

function frontier({ frontier: points }: QuantizeReport, style: Style): string {
  if (!points || points.length < 2) return '';
  return table(
    [{ title: 'size', align: 'right' }, { title: 'loss', align: 'right' }, { title: 'weights' }],
    points.map(({ bytes, loss, schemes }) => [
      size(bytes),
      figure(loss),
      Object.entries(schemes)
        .map(([scheme, count]) => `${count} ${safe(scheme)}`)
        .join(', ') || 'all in float',
    ]),
    style,
    '  ',
  );
}

export const isQuantizeReport = (report: WriteReport): report is QuantizeReport =>
  report.command === 'quantize';
