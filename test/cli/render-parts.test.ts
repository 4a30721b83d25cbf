import { expect, it } from 'vitest';
import { prunePart } from '../../src/cli/html/prune.js';
import { figureTexts } from '../../src/cli/render/figures.js';
import { Notes } from '../../src/cli/render/notes.js';
import { zerosSection } from '../../src/cli/render/prune.js';
import { renderSensitivity } from '../../src/cli/render/sensitivity.js';
import { PLAIN_STYLE } from '../../src/cli/style.js';
import { channelsReport, prunedReport } from './samples/pruning.js';
import { sensitivityReport } from './samples/quantizing.js';

it('figures of a step are words: pairs, decibels, the rest by their names', () => {
  expect(figureTexts({ nodesBefore: 297, nodesAfter: 86 })).toEqual(['nodes 297 → 86']);
  expect(figureTexts({ quantized: 3, worstSqnrDb: 45.25, method: 'magnitude' })).toEqual([
    ...['quantized 3', 'worst SQNR 45.25 dB', 'magnitude'],
  ]);
  expect(figureTexts({ nodesAfter: 1, left: 'x', leftAfter: 2 })).toEqual([
    'nodesAfter 1',
    'x',
    'leftAfter 2',
  ]);
});

it('what several rows have is said once', () => {
  const notes = new Notes(['too small', 'no', 'too small']);
  expect(['too small', 'no', ''].map((text) => notes.cell(text))).toEqual(['note 1', 'no', '']);
  expect(notes.lines).toEqual(['note 1: too small']);
});

it('reasons of pruned weights too, and sizes that are not known have no column', () => {
  const { prune } = prunedReport;
  const [one] = prune.tensors;
  const tensors = ['a', 'b'].map((name) => ({
    ...one!,
    name,
    reason: 'there is too little',
    storedBytes: null,
  }));
  const text = zerosSection({ ...prunedReport, prune: { ...prune, tensors } }, PLAIN_STYLE);
  expect(text.match(/there is too little/g)).toHaveLength(1);
  expect(text).not.toMatch(/dense +stored/);
});

it('a share that was found for a size was not asked for', () => {
  const found = { code: 'TARGET_SIZE', severity: 'info', subject: 'model', message: '' } as const;
  expect(zerosSection(prunedReport, PLAIN_STYLE)).toContain('50.0 % asked for');
  expect(zerosSection({ ...prunedReport, findings: [found] }, PLAIN_STYLE)).toContain('50.0 % suffices');
});

it('sensitivity without labels names no accuracy', () => {
  const layers = sensitivityReport.layers.map(({ accuracy: _, accuracyDrop: __, ...one }) => one);
  expect(renderSensitivity({ ...sensitivityReport, layers }, PLAIN_STYLE)).not.toContain('accuracy');
});

it('pages of pruning have the columns that the method has', () => {
  const zeros = prunePart(prunedReport).join('');
  expect(zeros).toContain('<th class="right">zeros');
  expect(zeros).not.toContain('>left<');
  const channels = prunePart(channelsReport).join('');
  expect(channels).toContain('16 → 8');
  expect(channels).not.toContain('>zeros<');
});
