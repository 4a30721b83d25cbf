import type { DeltaAddReport, DeltaCreateReport } from '../../operations/delta/report.js';
import type { TensorAction, WriteReport } from '../../operations/reports.js';
import { html } from '../escape.js';
import { isDeltaReport } from '../render/delta.js';
import { duration, figure, grouped, percent, shape, size } from '../render/numbers.js';
import { isOptimizeReport } from '../render/optimize.js';
import { isPruneReport } from '../render/prune.js';
import { isQuantizeReport } from '../render/quantize.js';
import { optimizePart } from './optimize.js';
import { htmlTable, page, section, tiles, verdict } from './page.js';
import { findingsPart, validationPart } from './parts.js';
import { prunePart } from './prune.js';
import { quantizeParts } from './quantize.js';
import { barChart } from './svg.js';

const WORST = 30;

export function writePage(report: WriteReport): string {
  const { bytesIn, bytesOut } = report;
  return page(`mlser ${report.command} ${report.output}`, [
    `<h1>${html(report.input)} → ${html(report.output)}</h1>`,
    tiles([
      [
        report.command,
        report.dryRun ? 'plan only' : verdict(report.validation.passed, 'written', 'not written'),
      ],
      ['format', report.format],
      ['tensors', grouped(report.tensors.length)],
      ['ratio', figure(report.ratio)],
      ['time', duration(report.seconds)],
    ]),
    barChart([
      { label: 'before', value: bytesIn, text: size(bytesIn) },
      { label: 'after', value: bytesOut, text: size(bytesOut) },
    ]),
    ...(isDeltaReport(report) && !report.dryRun ? [section('Delta', deltaPart(report))] : []),
    findingsPart(report.findings),
    ...(isQuantizeReport(report) ? quantizeParts(report) : []),
    ...(isPruneReport(report) ? prunePart(report) : []),
    ...(isOptimizeReport(report) ? optimizePart(report) : []),
    validationPart(report.validation),
    section('Error by tensor (max abs, logarithmic)', errors(report.tensors)),
    section('Tensors', actions(report.tensors)),
  ]);
}

const deltaPart = (report: DeltaCreateReport | DeltaAddReport): string =>
  tiles([
    ...('keyframe' in report ? ([['step', report.name]] as const) : []),
    ['changed tensors', grouped(report.changedTensors)],
    ['changed elements', percent(report.changedFraction)],
    ['depth', grouped(report.depth)],
    ...(report.lossy === undefined ? [] : ([['made with loss', report.lossy]] as const)),
  ]) +
  htmlTable(
    [
      { title: 'stored as' },
      { title: 'tensors', right: true },
      { title: 'before', right: true },
      { title: 'after', right: true },
    ],
    Object.entries(report.codecs).map(([name, { tensors, bytesIn, bytesOut }]) => [
      name,
      grouped(tensors),
      size(bytesIn),
      size(bytesOut),
    ]),
  );

const errors = (tensors: readonly TensorAction[]): string =>
  barChart(
    tensors
      .flatMap(({ name, error }) =>
        error ? [{ label: name, value: error.maxAbs, text: figure(error.maxAbs) }] : [],
      )
      .sort((a, b) => b.value - a.value)
      .slice(0, WORST),
    { log: true },
  );

function actions(tensors: readonly TensorAction[]): string {
  const lossy = tensors.some((tensor) => tensor.error);
  const measured = ['max abs', 'rmse', 'SQNR dB', 'cosine'].map((title) => ({ title, right: true }));
  return htmlTable(
    [
      { title: 'name', code: true },
      { title: 'action' },
      { title: 'dtype' },
      { title: 'shape' },
      { title: 'before', right: true },
      { title: 'after', right: true },
      ...(lossy ? measured : []),
    ],
    tensors.map(({ error, ...tensor }) => [
      tensor.name,
      tensor.action,
      tensor.dtypeIn === tensor.dtypeOut ? tensor.dtypeOut : `${tensor.dtypeIn} → ${tensor.dtypeOut}`,
      shape(tensor.shape),
      size(tensor.bytesIn),
      size(tensor.bytesOut),
      ...(error ? [error.maxAbs, error.rmse, error.sqnrDb, error.cosine].map(figure) : []),
    ]),
  );
}
