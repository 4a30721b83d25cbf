import type { PipelineReport } from '../../operations/pipeline/report.js';
import { html } from '../escape.js';
import { duration, figure, size } from '../render/numbers.js';
import { accuracyText, figuresText, outcomeText } from '../render/pipeline.js';
import { htmlTable, page, section, tiles, verdict } from './page.js';
import { findingsPart, validationPart } from './parts.js';
import { speedPart } from './quantize.js';
import { barChart } from './svg.js';

export function pipelinePage(report: PipelineReport): string {
  const { input, output, recipe, steps, findings, bytesIn, ratio, seconds, dryRun, validation } = report;
  const all = steps.flatMap(({ step, findings: own }) =>
    own.map((finding) => ({ ...finding, subject: `step ${step}: ${finding.subject}` })),
  );
  const sizes = steps.flatMap(({ step, do: id, bytesOut }) =>
    bytesOut === null ? [] : [{ label: `${step} ${id}`, value: bytesOut, text: size(bytesOut) }],
  );
  return page(`mlser pipeline ${output}`, [
    `<h1>${html(input)} → ${html(output)}</h1>`,
    ...(recipe.name === undefined ? [] : [`<p>${html(recipe.name)}</p>`]),
    tiles([
      ['pipeline', dryRun ? 'plan only' : verdict(validation.passed, 'written', 'not written')],
      ['recipe', recipe.file],
      ['ratio', figure(ratio)],
      ['time', duration(seconds)],
    ]),
    section('Size', barChart([{ label: 'input', value: bytesIn, text: size(bytesIn) }, ...sizes])),
    section('Steps', stepTable(report)),
    ...(report.speed ? [section('Speed', speedPart(report.speed))] : []),
    findingsPart([...findings, ...all]),
    validationPart(validation),
  ]);
}

const stepTable = ({ steps }: PipelineReport): string =>
  htmlTable(
    [
      { title: '', right: true },
      { title: 'step' },
      { title: 'what it did' },
      ...['size', 'accuracy', 'time'].map((title) => ({ title, right: true })),
      { title: 'outcome' },
    ],
    steps.map((entry) => [
      String(entry.step),
      entry.do,
      figuresText(entry),
      entry.bytesOut === null ? '–' : size(entry.bytesOut),
      accuracyText(entry),
      duration(entry.seconds),
      outcomeText(entry),
    ]),
  );
