import type { QuantizeReport } from '../../operations/quantize/report.js';
import { html } from '../escape.js';
import { figure, grouped, size } from '../render/numbers.js';
import { section, tiles } from './page.js';
import { barChart } from './svg.js';

/** How fast the result is and why, and the sizes that could be had. */
export const quantizeParts = ({ speed, frontier }: QuantizeReport): readonly string[] => [
  ...(speed ? [section('Speed', speedPart(speed))] : []),
  ...(frontier && frontier.length > 1 ? [section('Loss of each size', frontierPart(frontier))] : []),
];

export const speedPart = (speed: NonNullable<QuantizeReport['speed']>): string =>
  barChart([
    { label: 'before', value: speed.beforeMs, text: `${figure(speed.beforeMs)} ms` },
    { label: 'after', value: speed.afterMs, text: `${figure(speed.afterMs)} ms` },
  ]) +
  tiles([
    ['integer operators', grouped(speed.integerKernels)],
    ['heavy float operators', grouped(speed.floatKernels)],
    ['DequantizeLinear', grouped(speed.dequantize)],
    ['layout copies', grouped(speed.layoutCopies)],
  ]) +
  speed.notes.map((note) => `<p>${html(note)}</p>`).join('');

export const frontierPart = (points: readonly { readonly bytes: number; readonly loss: number }[]): string =>
  barChart(points.map(({ bytes, loss }) => ({ label: size(bytes), value: loss, text: figure(loss) })));
