import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { type PipelineOptions, pipeline } from '../../../src/operations/pipeline/pipeline.js';
import { readRecipe } from '../../../src/operations/pipeline/recipe.js';
import type { PipelineReport } from '../../../src/operations/pipeline/report.js';
import { BIN, ENV, mlser, TRAINED } from '../../support/cli.js';
import { testContext } from '../../support/context.js';
import { folderOfEachTest } from '../../support/folders.js';

/** Real processes (of the built package). */

const at = folderOfEachTest('resume');
beforeEach(() => {
  for (const name of ['model.onnx', 'test.npz']) fs.copyFileSync(path.join(TRAINED, name), at(name));
  write(STEPS);
});
const STEPS: readonly object[] = [
  { do: 'prune', sparsity: 0.3 },
  { do: 'convert', opset: 18, validate: 'none' },
  { do: 'meta', set: { license: 'mit' } },
];
const write = (steps: readonly object[]): void =>
  fs.writeFileSync(
    at('edge.json'),
    JSON.stringify({
      input: 'model.onnx',
      output: 'out.onnx',
      gate: { validate: 'weights', inputs: 'test.npz' },
      steps,
    }),
  );
const WORK = '.out.onnx.pipeline';
const listing = (): string[] => fs.readdirSync(at('')).sort();
const INPUTS = ['edge.json', 'model.onnx', 'test.npz'];

function run(...words: string[]): PipelineReport & { code: number | null } {
  const ran = mlser(['pipeline', 'edge.json', '--json', '--threads', '1', ...words], { cwd: at('') });
  return { ...JSON.parse(ran.out), code: ran.code };
}
const outcomes = ({ steps }: PipelineReport): string[] => steps.map(({ outcome }) => outcome);

/** A run with a hand on its calls that change something on the disk. */
async function ranUnder(env: Record<string, string>): Promise<[number | null, NodeJS.Signals | null]> {
  const hook = ['--require', path.resolve('test/support/kill-at.cjs')];
  const args = [...hook, BIN, 'pipeline', 'edge.json', '--threads', '1', '-q'];
  const child = spawn(process.execPath, args, { cwd: at(''), env: { ...ENV, ...env }, stdio: 'ignore' });
  return (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
}

/** Ends a run as `kill -9` does, before one of these calls. */
const killedAt = async (call: number): Promise<NodeJS.Signals | null> =>
  (await ranUnder({ MLSER_TEST_KILL_AT: String(call) }))[1];

/** How many such calls a whole run makes. */
async function callsOfARun(): Promise<number> {
  expect((await ranUnder({ MLSER_TEST_COUNT: at('calls') }))[0]).toBe(0);
  const calls = Number(fs.readFileSync(at('calls'), 'utf8'));
  fs.rmSync(at('calls'));
  return calls;
}

describe('a run that was killed', () => {
  it('is gone on with, and gives the same bytes, wherever it ended', async () => {
    const calls = await callsOfARun();
    expect(calls).toBeGreaterThan(30);
    const whole = fs.readFileSync(at('out.onnx'));
    expect(listing()).toEqual([...INPUTS, 'out.onnx'].sort());
    const kept = new Set<string>();
    for (const share of [0.1, 0.5, 0.8, 0.97]) {
      fs.rmSync(at('out.onnx'), { force: true });
      fs.rmSync(at(WORK), { recursive: true, force: true });
      expect(await killedAt(Math.floor(calls * share))).toBe('SIGKILL');
      // The output is there whole, or not at all.
      if (fs.existsSync(at('out.onnx'))) expect(fs.readFileSync(at('out.onnx')).equals(whole)).toBe(true);
      const report = run('--force');
      expect(report.code, JSON.stringify(report)).toBe(0);
      kept.add(outcomes(report).join());
      expect(fs.readFileSync(at('out.onnx')).equals(whole)).toBe(true);
      expect(fs.existsSync(at(WORK))).toBe(false);
    }
    // Something was kept of some of them, and everything of the last.
    expect([...kept]).toContain('done,composed,done');
    expect([...kept]).toContain('kept,composed,kept');
    expect([...kept].length).toBeGreaterThan(2);
  }, 120_000);
});

it('ended in its first step by a signal, it leaves nothing behind', async () => {
  write([{ do: 'prune', validate: 'run' }]); // it waits for the runtime
  const words = [BIN, 'pipeline', 'edge.json', '--threads', '1'];
  const child = spawn(process.execPath, words, { cwd: at(''), env: ENV, stdio: 'ignore' });
  const closed = once(child, 'close');
  while (!fs.existsSync(at(`${WORK}/step-1`)) && child.exitCode === null)
    await new Promise((done) => setTimeout(done, 1));
  child.kill('SIGTERM');
  expect((await closed)[0]).toBe(143);
  expect(listing()).toEqual(INPUTS);
});

describe('finished steps', () => {
  const made = async (options: PipelineOptions): Promise<PipelineReport> =>
    pipeline(await readRecipe(at('edge.json')), options, testContext());
  const reuse = async (change: () => void, options: PipelineOptions = {}): Promise<string[]> => {
    expect((await made({ keepWork: true })).validation.passed).toBe(true);
    expect(listing()).toContain(WORK);
    change();
    return outcomes(await made({ force: true, ...options }));
  };
  const turned = (): void => {
    const { steps, gate, ...rest } = JSON.parse(fs.readFileSync(at('edge.json'), 'utf8'));
    const other = steps.map((step: object) => Object.fromEntries(Object.entries(step).reverse()));
    const whole = { steps: other, name: 'x', gate: { ...gate, tolerance: 0.5 }, ...rest };
    fs.writeFileSync(at('edge.json'), JSON.stringify(whole, null, 4));
  };
  it.each<[string, () => void, PipelineOptions, string]>([
    ['are not done again', () => {}, {}, 'kept,composed,kept'],
    ['are, with --fresh', () => {}, { fresh: true }, 'done,composed,done'],
    [
      'are from the first that the recipe has otherwise',
      () => write([...STEPS.slice(0, 2), { do: 'meta', set: { license: 'bsd' } }]),
      {},
      'kept,composed,done',
    ],
    ['are when the input is another', () => fs.utimesSync(at('model.onnx'), 1, 1), {}, 'done,composed,done'],
    [
      'are when the data of their gates is another',
      () => fs.utimesSync(at('test.npz'), 1, 1),
      {},
      'done,composed,done',
    ],
    [
      'are when what is kept of them is damaged',
      () => fs.writeFileSync(at(`${WORK}/step-3.json`), '{"key"'),
      {},
      'kept,composed,done',
    ],
    [
      'are when a file of theirs is',
      () => fs.appendFileSync(at(`${WORK}/step-3/out.onnx`), 'x'),
      {},
      'kept,composed,done',
    ],
    [
      'do not mind the order of keys, white space, and what the whole is held to',
      turned,
      {},
      'kept,composed,kept',
    ],
  ])('%s', async (_, change, options, wanted) => expect((await reuse(change, options)).join()).toBe(wanted));
});

describe('the work folder', () => {
  it('is private, goes when all is done, and nothing else in it does', () => {
    fs.mkdirSync(at('work'));
    fs.writeFileSync(at('work/notes.txt'), 'mine');
    fs.mkdirSync(at('work/step-x'));
    expect(run('--work', 'work').code).toBe(0);
    expect(fs.readdirSync(at('work')).sort()).toEqual(['notes.txt', 'step-x']);
    expect(run('--force', '--keep-work').work).toContain(WORK);
    expect(fs.statSync(at(WORK)).mode & 0o777).toBe(0o700);
  });
  it('is for one run at a time', () => {
    fs.mkdirSync(at(WORK));
    fs.writeFileSync(at(`${WORK}/lock`), JSON.stringify({ pid: process.pid, host: 'another.example' }));
    const ran = mlser(['pipeline', 'edge.json', '--json'], { cwd: at('') });
    expect(ran.code).toBe(2);
    expect(JSON.parse(ran.out).error).toMatchObject({
      code: 'E_USAGE',
      message: expect.stringMatching(/another run/),
    });
    expect(fs.existsSync(at(`${WORK}/lock`))).toBe(true);
  });
});
