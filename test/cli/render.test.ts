import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { benchPage } from '../../src/cli/html/bench.js';
import { diffPage } from '../../src/cli/html/diff.js';
import { inspectPage } from '../../src/cli/html/inspect.js';
import { pipelinePage } from '../../src/cli/html/pipeline.js';
import { presetPage } from '../../src/cli/html/preset.js';
import { reducePage } from '../../src/cli/html/reduce.js';
import { sensitivityPage } from '../../src/cli/html/sensitivity.js';
import { tracePage } from '../../src/cli/html/trace.js';
import { validatePage } from '../../src/cli/html/validate.js';
import { writePage } from '../../src/cli/html/write.js';
import { jsonText } from '../../src/cli/json.js';
import { renderBench } from '../../src/cli/render/bench.js';
import { renderCheck, renderChecksum } from '../../src/cli/render/checksum.js';
import { renderLog, renderPrune, renderVerify } from '../../src/cli/render/delta.js';
import { renderDiff } from '../../src/cli/render/diff.js';
import { renderError } from '../../src/cli/render/error.js';
import { findingLines } from '../../src/cli/render/findings.js';
import { renderInspect } from '../../src/cli/render/inspect.js';
import { layerGroups } from '../../src/cli/render/layers.js';
import { renderPasses } from '../../src/cli/render/optimize.js';
import { renderPipeline } from '../../src/cli/render/pipeline.js';
import { renderPreset } from '../../src/cli/render/preset.js';
import { renderReduce } from '../../src/cli/render/reduce.js';
import { renderSensitivity } from '../../src/cli/render/sensitivity.js';
import { renderTrace } from '../../src/cli/render/trace.js';
import { renderMeta, renderValidate } from '../../src/cli/render/validate.js';
import { renderWrite } from '../../src/cli/render/write.js';
import { PLAIN_STYLE } from '../../src/cli/style.js';
import { renderTemplate } from '../../src/cli/template.js';
import { MlserError } from '../../src/errors.js';
import { CONTROL } from '../support/cli.js';
import { schemaErrors } from '../support/schema.js';
import * as sample from './sample-reports.js';

const HOSTILE = '\u001b]0;x\u0007\u001b[2J\u009b31m\r\u202e\u2066<script>"&\'|`</td>';
const style = PLAIN_STYLE;

/** A model whose metadata says by which recipe it was made, with this text wherever there can be one. */
const madeByRecipe = (text: string) => ({
  ...sample.inspectReport,
  metadata: {
    'provenance.recipe': JSON.stringify({
      ...{ mlser: text, recipe: { name: text } },
      steps: [{ do: text, [text]: 0.5, scheme: text, bytes: 1000, accuracyBefore: 0.9, accuracyAfter: 0.8 }],
    }),
  },
});

/** Every way a report reaches a person, from the same reports with hostile texts. */
const texts = (text: string): [string, string][] => {
  const inspect = sample.withTexts(sample.inspectReport, text);
  const write = sample.withTexts(sample.writeReport, text);
  const done = { ...write, dryRun: false };
  const quantize = sample.withTexts(sample.quantizeReport, text);
  const preset = sample.withTexts(sample.presetReport, text);
  const pruned = sample.withTexts(sample.prunedReport, text);
  const optimized = sample.withTexts(sample.optimizedReport, text);
  const pipeline = sample.withTexts(sample.pipelineReport, text);
  const channels = sample.withTexts(sample.channelsReport, text);
  const sensitivity = sample.withTexts(sample.sensitivityReport, text);
  const bench = sample.withTexts(sample.benchReport, text);
  const reduced = sample.withTexts(sample.reduceReport, text);
  const traced = sample.withTexts(sample.traceReport, text);
  const meta = sample.withTexts(sample.metaReport, text);
  const check = sample.withTexts(sample.checkReport, text);
  const diff = sample.withTexts(sample.diffReport, text);
  const validate = sample.withTexts(sample.validateReport, text);
  const delta = sample.withTexts(sample.deltaReport, text);
  const add = sample.withTexts(sample.addReport, text);
  const verify = sample.withTexts(sample.verifyReport, text);
  const log = sample.withTexts(sample.logReport, text);
  const prune = sample.withTexts(sample.pruneReport, text);
  const error = new MlserError('E_MALFORMED', `${text}\nat line 2`, { hint: text });
  return [
    ['inspect', renderInspect(inspect, {}, style)],
    ['inspect --tensors --graph', renderInspect(inspect, { tensors: true, graph: true }, style)],
    ['write --dry-run', renderWrite(write, style)],
    ['write', renderWrite(done, style)],
    ['quantize', renderWrite(quantize, style)],
    ['quantize --preset', renderPreset(preset, style)],
    ['prune', renderWrite(pruned, style)],
    ['optimize', renderWrite(optimized, style)],
    ['pipeline', renderPipeline(pipeline, style)],
    ['inspect of what a recipe made', renderInspect(madeByRecipe(text), {}, style)],
    ['prune channels', renderWrite(channels, style)],
    ['sensitivity', renderSensitivity(sensitivity, style)],
    ['reduce', renderReduce(reduced, style)],
    ['trace', renderTrace(traced, { all: true }, style)],
    ['checksum --tensors', renderChecksum(sample.withTexts(sample.checksumReport, text), true)],
    ['check', renderCheck(check, style)],
    ['diff', renderDiff(diff, style)],
    ['validate', renderValidate(validate, style)],
    ['bench', renderBench(bench, style)],
    ['bench page', benchPage(bench)],
    ['meta', renderMeta(meta, [], style)],
    ['meta of a key', renderMeta(meta, ['license'], style)],
    ['delta create', renderWrite(delta, style)],
    ['delta add', renderWrite(add, style)],
    ['delta verify', renderVerify(verify, style)],
    ['delta log', renderLog(log, style)],
    ['delta log of nothing', renderLog({ ...log, entries: [] }, style)],
    ['delta prune', renderPrune(prune, style)],
    ['findings', findingLines(inspect.findings, style).join('\n')],
    ['error', renderError(error, style)],
    ['inspect page', inspectPage([inspect])],
    ['write page', writePage(done)],
    ['quantize page', writePage(quantize)],
    ['preset page', presetPage(preset)],
    ['prune page', writePage(pruned)],
    ['optimize page', writePage(optimized)],
    ['pipeline page', pipelinePage(pipeline)],
    ['sensitivity page', sensitivityPage(sensitivity)],
    ['reduce page', reducePage(reduced)],
    ['trace page', tracePage(traced)],
    ['delta page', writePage(delta)],
    ['delta add page', writePage(add)],
    ['diff page', diffPage(diff)],
    ['validate page', validatePage(validate)],
    ...[
      inspect,
      write,
      quantize,
      preset,
      pruned,
      optimized,
      pipeline,
      sensitivity,
      reduced,
      traced,
      check,
      diff,
      validate,
      bench,
      meta,
      delta,
      add,
      verify,
      log,
      prune,
    ].map((report): [string, string] => ['json', jsonText(report)]),
  ];
};

describe('texts of a model', () => {
  it('reach no terminal and no page unescaped, in any report', async () => {
    const card = await renderTemplate('model-card', sample.withTexts(sample.inspectReport, HOSTILE));
    for (const [name, text] of [...texts(HOSTILE), ['model card', card] as const]) {
      expect(text.length, name).toBeGreaterThan(20);
      expect(text.match(CONTROL)?.[0], name).toBeUndefined();
      if (name.endsWith('page')) expect(text, name).not.toContain('<script');
    }
  });
  it('are there, so that the test above means something', () => {
    for (const [name, text] of texts('Zq')) expect(text, name).toContain('Zq');
  });
  it('cannot break out of a table of the model card', async () => {
    const { format, content, findings } = sample.inspectReport; // the tool's own words
    const hostile = sample.withTexts(sample.inspectReport, '|\n---\n# x');
    const card = await renderTemplate('model-card', { ...hostile, format, content: content ?? '', findings });
    expect(card).not.toMatch(/^# x/m);
    expect(card.match(/^---$/gm)).toHaveLength(2);
  });
});

describe('pages', () => {
  it('need nothing from elsewhere', () => {
    for (const text of [
      inspectPage([sample.inspectReport]),
      writePage(sample.writeReport),
      writePage(sample.deltaReport),
      writePage(sample.quantizeReport),
      presetPage(sample.presetReport),
      writePage(sample.prunedReport),
      writePage(sample.optimizedReport),
      pipelinePage(sample.pipelineReport),
      sensitivityPage(sample.sensitivityReport),
      reducePage(sample.reduceReport),
      tracePage(sample.traceReport),
      diffPage(sample.diffReport),
      benchPage(sample.benchReport),
    ]) {
      expect(text).not.toMatch(/<script|<link|<img|@import|url\(|https?:/i);
      expect(text).toMatch(/prefers-color-scheme/);
      expect(text).toMatch(/<svg/);
      for (const tag of ['table', 'section', 'svg', 'div', 'ul', 'dl'])
        expect(text.split(`<${tag}`).length, tag).toBe(text.split(`</${tag}>`).length);
    }
  });
});

it('each size has its own ratio beside it: that of files, and that of a delta of tensors', () => {
  const report = {
    ...sample.deltaReport,
    dryRun: false,
    bytesIn: 3000,
    bytesOut: 1000,
    tensorBytes: 2000,
    ratio: 2,
  };
  const text = renderWrite(report, style);
  expect(text).toMatch(/after +1 kB .* 3 times smaller/);
  expect(text).toContain('2 kB of tensors in 1 kB: 2 times smaller');
});

describe('reports in full', () => {
  it('satisfy their schemas', () => {
    expect(schemaErrors('inspect', sample.inspectReport)).toEqual([]);
    expect(schemaErrors('inspect', [sample.inspectReport, sample.inspectReport])).toEqual([]);
    expect(schemaErrors('write', sample.writeReport)).toEqual([]);
    expect(schemaErrors('quantize', sample.quantizeReport)).toEqual([]);
    expect(schemaErrors('quantize-preset', sample.presetReport)).toEqual([]);
    expect(schemaErrors('prune', sample.prunedReport)).toEqual([]);
    expect(schemaErrors('optimize', sample.optimizedReport)).toEqual([]);
    expect(schemaErrors('optimize-list', sample.passList)).toEqual([]);
    expect(schemaErrors('pipeline', sample.pipelineReport)).toEqual([]);
    expect(schemaErrors('prune', sample.channelsReport)).toEqual([]);
    expect(schemaErrors('prune', sample.layersReport)).toEqual([]);
    expect(schemaErrors('sensitivity', sample.sensitivityReport)).toEqual([]);
    expect(schemaErrors('reduce', sample.reduceReport)).toEqual([]);
    expect(schemaErrors('trace', sample.traceReport)).toEqual([]);
    expect(schemaErrors('trace', { ...sample.traceReport, first: null })).toEqual([]);
    expect(schemaErrors('checksum', sample.checksumReport)).toEqual([]);
    expect(schemaErrors('check', sample.checkReport)).toEqual([]);
    expect(schemaErrors('diff', sample.diffReport)).toEqual([]);
    expect(schemaErrors('validate', sample.validateReport)).toEqual([]);
    expect(schemaErrors('bench', sample.benchReport)).toEqual([]);
    expect(schemaErrors('meta', sample.metaReport)).toEqual([]);
    expect(schemaErrors('delta-create', sample.deltaReport)).toEqual([]);
    expect(schemaErrors('delta-create', { ...sample.deltaReport, target: { content: null } })).toEqual([]);
    expect(schemaErrors('delta-add', sample.addReport)).toEqual([]);
    expect(schemaErrors('delta-verify', sample.verifyReport)).toEqual([]);
    expect(schemaErrors('delta-log', sample.logReport)).toEqual([]);
    expect(schemaErrors('delta-prune', sample.pruneReport)).toEqual([]);
  });
  it('and the schemas are strict', () => {
    expect(schemaErrors('inspect', { ...sample.inspectReport, extra: 1 })).not.toEqual([]);
    expect(schemaErrors('write', { ...sample.writeReport, bytesIn: -1 })).not.toEqual([]);
    expect(schemaErrors('quantize', { ...sample.quantizeReport, speed: {} })).not.toEqual([]);
    expect(schemaErrors('quantize-preset', { ...sample.presetReport, variants: [{}] })).not.toEqual([]);
    expect(schemaErrors('prune', { ...sample.prunedReport, prune: {} })).not.toEqual([]);
    expect(schemaErrors('pipeline', { ...sample.pipelineReport, steps: [{}] })).not.toEqual([]);
    expect(schemaErrors('sensitivity', { ...sample.sensitivityReport, layers: [{}] })).not.toEqual([]);
    expect(schemaErrors('bench', { ...sample.benchReport, models: [{}] })).not.toEqual([]);
    expect(schemaErrors('reduce', { ...sample.reduceReport, reduce: {} })).not.toEqual([]);
    expect(schemaErrors('trace', { ...sample.traceReport, values: [{}] })).not.toEqual([]);
    expect(schemaErrors('delta-create', sample.addReport)).not.toEqual([]);
    expect(schemaErrors('delta-add', { ...sample.addReport, changedFraction: 1.5 })).not.toEqual([]);
    expect(schemaErrors('delta-log', { ...sample.logReport, entries: [{}] })).not.toEqual([]);
    const { validation: _, ...without } = sample.validateReport;
    expect(schemaErrors('validate', without)).not.toEqual([]);
    expect(schemaErrors('error', { error: { code: 'oops', message: '', details: {} } })).not.toEqual([]);
  });
});

describe('the text of reports', () => {
  it('inspect', () => expect(renderInspect(sample.inspectReport, {}, style)).toMatchSnapshot());
  it('bench', () => expect(renderBench(sample.benchReport, style)).toMatchSnapshot());
  it('convert', () => expect(renderWrite({ ...sample.writeReport, dryRun: false }, style)).toMatchSnapshot());
  it('quantize', () => expect(renderWrite(sample.quantizeReport, style)).toMatchSnapshot());
  it('quantize --preset', () => expect(renderPreset(sample.presetReport, style)).toMatchSnapshot());
  it('prune', () => expect(renderWrite(sample.prunedReport, style)).toMatchSnapshot());
  it('optimize', () => expect(renderWrite(sample.optimizedReport, style)).toMatchSnapshot());
  it('optimize --list', () => expect(renderPasses(sample.passList, style)).toMatchSnapshot());
  it('pipeline', () => expect(renderPipeline(sample.pipelineReport, style)).toMatchSnapshot());
  it('inspect of what a recipe made', () =>
    expect(renderInspect(madeByRecipe('half'), {}, style)).toMatchSnapshot());
  it('prune channels', () => expect(renderWrite(sample.channelsReport, style)).toMatchSnapshot());
  it('prune layers', () => expect(renderWrite(sample.layersReport, style)).toMatchSnapshot());
  it('sensitivity', () => expect(renderSensitivity(sample.sensitivityReport, style)).toMatchSnapshot());
  it('reduce', () => expect(renderReduce(sample.reduceReport, style)).toMatchSnapshot());
  it('trace', () => expect(renderTrace(sample.traceReport, { all: false }, style)).toMatchSnapshot());
  it('diff', () => expect(renderDiff(sample.diffReport, style)).toMatchSnapshot());
  it('delta create', () => expect(renderWrite(sample.deltaReport, style)).toMatchSnapshot());
  it('delta add', () => expect(renderWrite(sample.addReport, style)).toMatchSnapshot());
  it('delta verify', () => expect(renderVerify(sample.verifyReport, style)).toMatchSnapshot());
  it('delta log', () => expect(renderLog(sample.logReport, style)).toMatchSnapshot());
  it('delta prune', () => expect(renderPrune(sample.pruneReport, style)).toMatchSnapshot());
  it('validate', () => expect(renderValidate(sample.validateReport, style)).toMatchSnapshot());
  it('check', () => expect(renderCheck(sample.checkReport, style)).toMatchSnapshot());
  it('model card', async () =>
    expect(await renderTemplate('model-card', sample.inspectReport)).toMatchSnapshot());
});

describe('layers', () => {
  const tensors = (names: string[]) =>
    names.map((name) => ({ name, dtype: 'f32', shape: [2, 3], bytes: 24 }));
  it('that repeat are one group, and the parts of a layer stay together', () => {
    const names = [0, 1, 2].flatMap((i) => [`h.${i}.attn.weight`, `h.${i}.attn.bias`]);
    const groups = layerGroups(tensors([...names, 'ln.weight', 'ln.bias', 'wte']));
    expect(groups.map(({ label, repeats, tensors: n }) => [label, repeats, n])).toEqual([
      ['h.*', 3, 6],
      ['ln', 1, 2],
      ['wte', 1, 1],
    ]);
    expect(groups.reduce((sum, group) => sum + group.parameters, 0)).toBe(9 * 6);
  });
  it('of odd names are groups too', () => {
    expect(layerGroups(tensors(['', '.', '__proto__', '__proto__.x', '1', '2'])).length).toBeGreaterThan(0);
    expect(layerGroups([])).toEqual([]);
    const wide = layerGroups(tensors(Array.from({ length: 5000 }, (_, i) => `a${i}.b.c`)));
    expect(wide.length).toBe(5000);
  });
});

describe('templates', () => {
  it('are files or shipped ones, and complain with a hint', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'mlser-template-'));
    try {
      const file = path.join(folder, 'mine.jinja');
      writeFileSync(
        file,
        '{{ name }}: {{ size(bytes) }} {{ shape(tensors[0].shape) }} {{ layers | length }}',
      );
      expect(await renderTemplate(file, sample.inspectReport)).toBe('model.safetensors: 8.19 kB [16] 2\n');
      writeFileSync(file, '{% for %}');
      await expect(renderTemplate(file, sample.inspectReport)).rejects.toMatchObject({ code: 'E_MALFORMED' });
      await expect(renderTemplate('no-such', sample.inspectReport)).rejects.toMatchObject({
        code: 'E_NOT_FOUND',
        hint: expect.stringContaining('model-card.md'),
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
