import { copyFileSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { main } from '../../src/cli/main.js';
import { textWidth } from '../../src/cli/render/width.js';
import { fakeIo, mlser, modelFolder, TRAINED } from '../support/cli.js';
import { type ReportName, schemaErrors } from '../support/schema.js';

const VERBS = [
  [],
  ['inspect'],
  ['convert'],
  ['quantize'],
  ['prune'],
  ['optimize'],
  ['pipeline'],
  ['sensitivity'],
  ['checksum'],
  ['diff'],
  ['validate'],
  ['bench'],
  ['reduce'],
  ['trace'],
  ['delta'],
  ...['create', 'apply', 'squash', 'verify', 'log', 'add', 'prune'].map((verb) => ['delta', verb]),
  ['meta'],
  ['meta', 'get'],
  ['meta', 'set'],
  ['meta', 'unset'],
];

async function help(verb: readonly string[]): Promise<string> {
  const io = fakeIo();
  expect(await main([...verb, '--help'], io)).toBe(0);
  expect(io.text().err).toBe('');
  return io.text().out;
}

const examplesOf = (text: string): string[] =>
  [...text.matchAll(/^ {2}\$ mlser (.+)$/gm)].map((match) => match[1] ?? '');

describe('help', () => {
  it('of the tool fits a screen and names every verb', async () => {
    const text = await help([]);
    expect(text.split('\n').length).toBeLessThanOrEqual(40);
    expect(text).toMatchSnapshot();
  });
  it.each(VERBS.slice(1).map((verb) => [verb.join(' '), verb] as const))('of %s', async (_, verb) => {
    expect(await help(verb)).toMatchSnapshot();
  });
  it('is nowhere wider than 100 columns, and gives two examples everywhere', async () => {
    for (const verb of VERBS) {
      const text = await help(verb);
      for (const line of text.split('\n')) expect(textWidth(line), line).toBeLessThanOrEqual(100);
      expect(examplesOf(text), verb.join(' ')).toHaveLength(2);
    }
  });
});

/** The files of the examples, those of deltas too: two steps, the delta between them, and a run that holds both. */
function exampleFolder(): string {
  const folder = modelFolder();
  for (const step of [180, 200])
    copyFileSync(
      path.join(TRAINED, `checkpoints/step0${step}.safetensors`),
      path.join(folder, `step-${step}.safetensors`),
    );
  for (const words of [
    'prune model.onnx pruned.onnx',
    'delta create step-180.safetensors step-200.safetensors delta.mlck',
    'delta add step-180.safetensors --to runs/exp1',
    'delta add step-200.safetensors --to runs/exp1',
  ])
    expect(mlser([...words.split(' '), '--validate', 'weights'], { cwd: folder }), words).toMatchObject({
      code: 0,
      err: '',
    });
  return folder;
}

/** The schema of the report of a command line. */
function reportOf([verb = '', sub = '']: readonly string[]): ReportName {
  if (verb === 'optimize' && sub === '--list') return 'optimize-list';
  if (verb === 'meta') return sub === 'get' ? 'meta' : 'write';
  if (verb !== 'delta') return verb === 'convert' ? 'write' : (verb as ReportName);
  return sub === 'apply' ? 'write' : (`delta-${sub === 'squash' ? 'create' : sub}` as ReportName);
}

/** Examples that compare what differs. */
const saysNo = ([verb = '', ...rest]: readonly string[]): boolean =>
  verb === 'diff' || (verb === 'trace' && rest.includes('--reference'));

describe('every example of the help', () => {
  it('does what it says, and its JSON satisfies the schema', { timeout: 240_000 }, async () => {
    const source = exampleFolder();
    for (const verb of VERBS)
      for (const example of examplesOf(await help(verb))) {
        const folder = mkdtempSync(path.join(tmpdir(), 'mlser-example-'));
        try {
          cpSync(source, folder, { recursive: true });
          const words = (example.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replace(/^'|'$/g, ''));
          const ran = mlser([...words, ...(words.includes('--json') ? [] : ['--json'])], { cwd: folder });
          expect(ran, example).toMatchObject({ code: saysNo(words) ? 1 : 0, err: '' });
          expect(schemaErrors(reportOf(words), JSON.parse(ran.out)), example).toEqual([]);
        } finally {
          rmSync(folder, { recursive: true, force: true });
        }
      }
  });
});
