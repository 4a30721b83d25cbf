import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { LIMITS } from '../../../src/core/limits.js';
import type { Model } from '../../../src/core/model.js';
import { convertModel } from '../../../src/operations/convert.js';
import { type AddOptions, addToRun } from '../../../src/operations/delta/add.js';
import { createDelta, squashDeltas } from '../../../src/operations/delta/create.js';
import { logDelta } from '../../../src/operations/delta/log.js';
import { type PruneOptions, pruneRun } from '../../../src/operations/delta/prune.js';
import { readRun, writeRun } from '../../../src/operations/delta/run-index.js';
import { verifyDelta } from '../../../src/operations/delta/verify.js';
import {
  bytesOfTensor,
  checkpoint,
  contentOf,
  context,
  modelOf,
  newFolder,
  noise,
  nudged,
  PROVED,
  refusal,
  save,
  tensor,
} from '../../support/deltas.js';

const STEPS = 50;
const add = (file: string, folder: string, more: Partial<AddOptions> = {}) =>
  addToRun(file, folder, { ...PROVED, ...more }, context);
const prune = (folder: string, more: Partial<PruneOptions>) =>
  pruneRun(folder, { ...PROVED, ...more }, context);

/** A walk of fifty steps from the bytes of a real checkpoint: some weights move a little at each step. */
async function walk(folder: string): Promise<{ files: string[]; contents: string[] }> {
  const names = ['model.conv3.weight', 'model.fc1.weight', 'optimizer.exp_avg.fc2.weight'];
  const start = checkpoint('step0200.safetensors');
  const bytes = await Promise.all(names.map((name) => bytesOfTensor(start, name)));
  const files: string[] = [];
  const contents: string[] = [];
  for (let step = 1; step <= STEPS; step++) {
    bytes.forEach((each, i) => {
      if (i < 2 || step % 5 === 0) bytes[i] = nudged(each, 40, (step * 4) % 40, step);
    });
    const model: Model = {
      ...modelOf(names.map((name, i) => tensor(name, 'f32', [bytes[i]!.length / 4], bytes[i]))),
      training: { tree: { kind: 'int', value: BigInt(step) }, step },
    };
    files.push(await save(model, path.join(folder, `w${step}.mlck`)));
    contents.push(await contentOf(files.at(-1)!));
  }
  return { files, contents };
}

const source = newFolder();
const run = path.join(newFolder(), 'runs', 'exp1');
let files: string[] = [];
let contents: string[] = [];
beforeAll(async () => {
  ({ files, contents } = await walk(source));
  for (const file of files) await add(file, run);
});

/** A copy of the run, to be changed. */
function copy(): string {
  const folder = path.join(newFolder(), 'run');
  cpSync(run, folder, { recursive: true });
  return folder;
}
const content = (step: number): string => contents[step - 1] ?? '';
async function expectSteps(folder: string, steps: readonly number[]): Promise<void> {
  expect((await readRun(folder)).steps.map(({ step }) => step)).toEqual(steps);
  for (const step of steps) expect(await contentOf(`${folder}@${step}`), `step ${step}`).toBe(content(step));
  expect(readdirSync(folder).filter((name) => name.endsWith('.mlck'))).toHaveLength(steps.length);
  expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
}
const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe('a run of fifty steps', () => {
  it('gives every step back exactly, with its training state', async () => {
    await expectSteps(run, range(1, STEPS));
    for (const wanted of ['last', 'first', 'step-17', '17']) {
      const out = path.join(newFolder(), 'out.mlck');
      await convertModel(`${run}@${wanted}`, out, PROVED, context);
      const step = wanted === 'last' ? STEPS : wanted === 'first' ? 1 : 17;
      expect(readFileSync(out).equals(readFileSync(files[step - 1]!)), wanted).toBe(true);
    }
    expect(await contentOf(run)).toBe(content(STEPS));
  });

  it('has a keyframe every twenty steps, and deltas between', async () => {
    const { steps } = await readRun(run);
    expect(steps.filter(({ base }) => base === null).map(({ step }) => step)).toEqual([1, 21, 41]);
    expect(steps.map(({ depth }) => depth)).toEqual(range(0, STEPS - 1).map((i) => i % 20));
    for (const [i, step] of steps.entries())
      if (step.base !== null) expect(step.base).toBe(steps[i - 1]?.content);
    const log = await logDelta(run, context);
    expect(log.entries).toHaveLength(STEPS);
    expect(log.ratio).toBeGreaterThan(4);
    expect(log.entries[1]?.bytes).toBeLessThan((log.entries[0]?.bytes ?? 0) / 3);
  });

  it('gives one tensor of a step without the others', async () => {
    const out = path.join(newFolder(), 'out.safetensors');
    const report = await convertModel(`${run}@33`, out, { ...PROVED, include: [/fc1/] }, context);
    expect(report.tensors.map(({ name }) => name)).toEqual(['model.fc1.weight']);
    const [found, expected] = await Promise.all(
      [out, files[32]!].map((file) => bytesOfTensor(file, 'model.fc1.weight')),
    );
    expect(Buffer.compare(found!, expected!)).toBe(0);
  });

  it('verifies, and says which steps do not when a byte of one was changed', async () => {
    expect(await verifyDelta(run, context)).toMatchObject({ passed: true });
    const folder = copy();
    const file = path.join(folder, 'step-30.mlck');
    const bytes = readFileSync(file);
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    const report = await verifyDelta(folder, context);
    const failed = report.checks.filter(({ ok }) => !ok);
    expect(failed.map(({ name }) => name)).toEqual(range(30, 40).map((step) => `step-${step}`));
    expect(new Set(failed.map(({ error }) => error?.code))).toEqual(new Set(['E_INTEGRITY']));
    rmSync(file);
    const without = await verifyDelta(folder, context);
    expect(without.checks.filter(({ ok }) => !ok).map(({ name }) => name)).toEqual(
      range(30, 40).map((step) => `step-${step}`),
    );
  });

  it('a part of it squashed is the direct delta', async () => {
    const folder = newFolder();
    const at = (name: string): string => path.join(folder, name);
    const deltas = range(6, 12).map((step) => path.join(run, `step-${step}.mlck`));
    await squashDeltas(files[4]!, deltas, at('squashed.mlck'), PROVED, context);
    await createDelta(files[4]!, files[11]!, at('direct.mlck'), PROVED, context);
    expect(readFileSync(at('squashed.mlck')).equals(readFileSync(at('direct.mlck')))).toBe(true);
    expect(await contentOf(at('squashed.mlck'), { bases: [files[4]!] })).toBe(content(12));
  });

  it('names the steps there are when another one is asked for', async () => {
    const error = await refusal(contentOf(`${run}@99`));
    expect(error).toMatchObject({ code: 'E_NOT_FOUND', hint: expect.stringContaining('step-1') });
    expect((await refusal(contentOf(`${run}x@1`))).code).toBe('E_NOT_FOUND');
  });
});

describe('adding', () => {
  it('refuses a step that is there, and takes it under another name', async () => {
    const folder = copy();
    expect(await refusal(add(files[49]!, folder))).toMatchObject({
      code: 'E_EXISTS',
      hint: expect.stringContaining('--name'),
    });
    const report = await add(files[9]!, folder, { name: 'again', step: 10 });
    expect(report).toMatchObject({
      name: 'again',
      step: 10,
      keyframe: false,
      target: { content: content(10) },
    });
    expect(await contentOf(`${folder}@again`)).toBe(content(10));
    for (const name of ['../x', 'a/b', '', '.hidden', 'a b'])
      expect((await refusal(add(files[9]!, folder, { name }))).code, name).toBe('E_USAGE');
  });

  it('takes the step from the checkpoint, the option or the name of the file', async () => {
    const folder = path.join(newFolder(), 'run');
    expect(await add(checkpoint('step0140.pt'), folder)).toMatchObject({ name: 'step-140', step: 140 });
    expect(await add(checkpoint('step0180.safetensors'), folder)).toMatchObject({
      name: 'step-180',
      step: 180,
    });
    expect(await add(checkpoint('step0200.safetensors'), folder, { step: 7 })).toMatchObject({
      name: 'step-7',
    });
    const plain = await save(modelOf([tensor('w', 'f32', [4])]), path.join(newFolder(), 'plain.safetensors'));
    expect(await add(plain, folder)).toMatchObject({ name: 'plain', step: null });
    const named = async (name: string, step: null | number | string) => {
      const metadata = new Map([['step', step]]);
      const model = modelOf([tensor('w', 'f32', [4], noise(16, name.length))], { metadata });
      return add(await save(model, path.join(newFolder(), name)), path.join(newFolder(), 'run'));
    };
    expect(await named('model2.mlck', null)).toMatchObject({ name: 'model2', step: null });
    expect(await named('model2.mlck', '30')).toMatchObject({ name: 'step-30', step: 30 });
    expect(await named('llama-7b.mlck', -1)).toMatchObject({ name: 'llama-7b', step: null });
    expect(await named('checkpoint-40.mlck', 'many')).toMatchObject({ name: 'step-40', step: 40 });
    expect(await verifyDelta(folder, context)).toMatchObject({ passed: true });
  });

  it('makes keyframes as often as it is told, where a delta gains nothing, and before a chain is too deep', async () => {
    const folder = path.join(newFolder(), 'run');
    for (const file of files.slice(0, 7)) await add(file, folder, { keyframeEvery: 3 });
    const frames = async (): Promise<boolean[]> =>
      (await readRun(folder)).steps.map(({ base }) => base === null);
    expect(await frames()).toEqual([true, false, false, true, false, false, true]);
    const random = noise(65_536, 11).filter((_, i) => i % 4 !== 3);
    const other = modelOf([tensor('w', 'u8', [random.length], random)]);
    const report = await add(await save(other, path.join(newFolder(), 'other-900.mlck')), folder);
    expect(report).toMatchObject({ keyframe: true, base: null, depth: 0 });

    const deep = path.join(newFolder(), 'run');
    await add(files[0]!, deep);
    const { steps } = await readRun(deep);
    const [first] = steps;
    // As if it were a chain of the greatest depth already.
    const chain = range(0, LIMITS.DELTA_DEPTH - 1).map((i) => ({
      ...first!,
      ...{ name: `s${i}`, depth: i, base: i === 0 ? null : first!.content },
    }));
    await writeRun(deep, { format: 'mlser-run', version: 1, steps: chain });
    expect(await add(files[1]!, deep, { keyframeEvery: 100_000 })).toMatchObject({ keyframe: true });
  });

  it('does nothing with --dry-run, not even a folder', async () => {
    const folder = path.join(newFolder(), 'run');
    const report = await add(files[0]!, folder, { dryRun: true });
    expect(report).toMatchObject({ dryRun: true, keyframe: true, target: { content: null } });
    expect(existsSync(folder)).toBe(false);
    const there = copy();
    const before = readFileSync(path.join(there, 'mlser-run.json'));
    await add(files[0]!, there, { dryRun: true, name: 'x' });
    expect(readFileSync(path.join(there, 'mlser-run.json')).equals(before)).toBe(true);
    await expectSteps(there, range(1, STEPS));
  });

  it('leaves no folder behind if the checkpoint cannot be read', async () => {
    const folder = path.join(newFolder(), 'run');
    expect((await refusal(add('no such file', folder))).code).toBe('E_NOT_FOUND');
    expect(existsSync(folder)).toBe(false);
  });

  it("leaves the user's own files alone", async () => {
    const folder = newFolder();
    const mine = path.join(folder, 'step-1.mlck');
    cpSync(files[4]!, mine); // it is another checkpoint
    const before = readFileSync(mine);
    await add(files[0]!, folder);
    expect(readFileSync(mine).equals(before)).toBe(true);
    expect(await contentOf(`${folder}@1`)).toBe(content(1));
    // A checkpoint that lies in the run folder itself.
    const inside = path.join(folder, 'step-2.mlck');
    cpSync(files[1]!, inside);
    await add(inside, folder);
    expect(readFileSync(inside).equals(readFileSync(files[1]!))).toBe(true);
    expect(await contentOf(`${folder}@2`)).toBe(content(2));
  });

  it('goes over what an interrupted run left, but never over a file of the run', async () => {
    const folder = path.join(newFolder(), 'run');
    await add(files[0]!, folder);
    writeFileSync(path.join(folder, 'step-2.mlck'), 'half a file');
    await add(files[1]!, folder);
    expect(readdirSync(folder).sort()).toEqual(['mlser-run.json', 'step-1.mlck', 'step-2.mlck']);
    await prune(folder, { keepLast: 1 });
    expect((await readRun(folder)).steps).toMatchObject([{ name: 'step-2', file: 'step-2.r1.mlck' }]);
    await add(files[2]!, folder, { name: 'step-2.r1' });
    expect(await contentOf(`${folder}@step-2`)).toBe(content(2));
    expect(await contentOf(`${folder}@step-2.r1`)).toBe(content(3));
  });
});

describe('pruning', () => {
  it('keeps the last steps', async () => {
    const folder = copy();
    const report = await prune(folder, { keepLast: 5 });
    expect(report.rewritten).toEqual(['step-46']);
    expect(report.dropped).toHaveLength(45);
    await expectSteps(folder, range(46, 50));
    expect((await readRun(folder)).steps.map(({ depth }) => depth)).toEqual([0, 1, 2, 3, 4]);
    expect(await verifyDelta(folder, context)).toMatchObject({ passed: true });
    await add(files[0]!, folder, { step: 51 });
    expect(await contentOf(`${folder}@51`)).toBe(content(1));
  });

  it('keeps every n-th step, and both', async () => {
    const folder = copy();
    await prune(folder, { keepEvery: 7 });
    await expectSteps(folder, [7, 14, 21, 28, 35, 42, 49]);
    expect(await verifyDelta(folder, context)).toMatchObject({ passed: true });
    const both = copy();
    const report = await prune(both, { keepEvery: 10, keepLast: 3 });
    expect(report.bytesOut).toBeLessThan(report.bytesIn);
    await expectSteps(both, [10, 20, 30, 40, 48, 49, 50]);
    await prune(both, { keepLast: 1 });
    await expectSteps(both, [50]);
  });

  it('says what it would do, and does nothing with --dry-run', async () => {
    const folder = copy();
    const report = await prune(folder, { keepLast: 2, dryRun: true });
    expect(report).toMatchObject({ dryRun: true, kept: ['step-49', 'step-50'], rewritten: ['step-49'] });
    await expectSteps(folder, range(1, STEPS));
  });

  it('does not make chains longer than keyframes would allow', async () => {
    const folder = path.join(newFolder(), 'run');
    for (const file of files) await add(file, folder, { keyframeEvery: 5 });
    // Keyframes are 1, 6, 11, …: none of them stays.
    await prune(folder, { keepEvery: 2 });
    const { steps } = await readRun(folder);
    expect(Math.max(...steps.map(({ depth }) => depth))).toBeLessThan(20);
    await expectSteps(
      folder,
      range(1, STEPS).filter((step) => step % 2 === 0),
    );
  });

  it('keeps steps whose content comes again', async () => {
    const folder = path.join(newFolder(), 'run');
    // 1, 2, 1, 1, 3: a step builds on its own content, and two build on each other in a circle.
    for (const [i, of] of [1, 2, 1, 1, 3].entries()) await add(files[of - 1]!, folder, { step: i + 1 });
    for (const keepLast of [4, 3, 2, 1]) {
      const there = path.join(newFolder(), 'run');
      cpSync(folder, there, { recursive: true });
      await prune(there, { keepLast });
      const { steps } = await readRun(there);
      expect(steps).toHaveLength(keepLast);
      for (const step of steps) expect(await contentOf(`${there}@${step.name}`)).toBe(step.content);
      expect(await verifyDelta(there, context), `${keepLast}`).toMatchObject({ passed: true });
    }
  });

  it('refuses to drop everything, to do nothing, and what is no run folder', async () => {
    const folder = copy();
    expect((await refusal(prune(folder, { keepEvery: 1000 }))).code).toBe('E_USAGE');
    expect((await refusal(prune(folder, {}))).code).toBe('E_USAGE');
    expect((await refusal(prune(source, { keepLast: 1 }))).code).toBe('E_NOT_FOUND');
    await expectSteps(folder, range(1, STEPS));
  });

  it('changes nothing if a step that has to be rebuilt is damaged', async () => {
    const folder = copy();
    const file = path.join(folder, 'step-3.mlck');
    const bytes = readFileSync(file);
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    const before = readdirSync(folder).sort();
    expect((await refusal(prune(folder, { keepEvery: 2 }))).code).toBe('E_INTEGRITY');
    expect(readdirSync(folder).sort()).toEqual(before);
    expect((await readRun(folder)).steps).toHaveLength(STEPS);
  });
});

describe('the index of a run', () => {
  const good = { format: 'mlser-run', version: 1, steps: [] };
  const step = {
    ...{ name: 'a', step: 1, file: 'a.mlck', content: 'ab'.repeat(32), base: null },
    ...{ depth: 0, bytes: 1, tensorBytes: 1 },
  };
  it.each([
    ['no JSON', '{', 'E_MALFORMED'],
    ['another thing', '[]', 'E_MALFORMED'],
    ['a newer one', JSON.stringify({ ...good, version: 2 }), 'E_UNSUPPORTED'],
    ['no steps', JSON.stringify({ ...good, steps: {} }), 'E_MALFORMED'],
    ['a step that is none', JSON.stringify({ ...good, steps: [null] }), 'E_MALFORMED'],
    ['a step twice', JSON.stringify({ ...good, steps: [step, step] }), 'E_MALFORMED'],
    ['a file elsewhere', JSON.stringify({ ...good, steps: [{ ...step, file: '../a.mlck' }] }), 'E_MALFORMED'],
    ['no content id', JSON.stringify({ ...good, steps: [{ ...step, content: 'x' }] }), 'E_MALFORMED'],
    ['a negative size', JSON.stringify({ ...good, steps: [{ ...step, bytes: -1 }] }), 'E_MALFORMED'],
    ['a step without its file', JSON.stringify({ ...good, steps: [step] }), 'E_NOT_FOUND'],
    ['nothing yet', JSON.stringify(good), 'E_NOT_FOUND'],
  ])('that is %s', async (_, text, code) => {
    const folder = newFolder();
    writeFileSync(path.join(folder, 'mlser-run.json'), text);
    expect((await refusal(contentOf(`${folder}@last`))).code).toBe(code);
  });
});
