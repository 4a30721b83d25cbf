import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { addToRun } from '../../../src/operations/delta/add.js';
import { pruneRun } from '../../../src/operations/delta/prune.js';
import { readRun } from '../../../src/operations/delta/run-index.js';
import { verifyDelta } from '../../../src/operations/delta/verify.js';
import { BIN, ENV } from '../../support/cli.js';
import {
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

/** The real command line, ended at any moment. */

const KILLER = path.resolve('test/support/kill-at.cjs');
const LOCK = '.mlser-run.lock';
const source = newFolder();
const run = path.join(newFolder(), 'run');
const files: string[] = [];
const contents: string[] = [];
const STEPS = 5;

beforeAll(async () => {
  let bytes = noise(40_000, 3);
  for (let step = 1; step <= STEPS + 2; step++) {
    bytes = nudged(bytes, 100, step, step);
    const model = modelOf([tensor('w', 'f32', [10_000], bytes), tensor('b', 'f32', [16], noise(64, step))]);
    files.push(await save(model, path.join(source, `step-${step}.mlck`)));
    contents.push(await contentOf(files.at(-1)!));
    if (step <= STEPS) await addToRun(files.at(-1)!, run, { ...PROVED, keyframeEvery: 3 }, context);
  }
});

function copy(): string {
  const folder = path.join(newFolder(), 'run');
  fs.cpSync(run, folder, { recursive: true });
  return folder;
}
const NEXT = ['delta', 'add'];
const addWords = (folder: string, step = STEPS + 1): string[] => [
  ...NEXT,
  ...[files[step - 1]!, '--to', folder, '--validate', 'none', '--threads', '1', '-q'],
];
const pruneWords = (folder: string): string[] => [
  ...['delta', 'prune', folder, '--keep-every', '2', '--keep-last', '1'],
  ...['--validate', 'none', '--threads', '1', '-q'],
];
const start = (
  words: readonly string[],
  env: Record<string, string> = {},
  flags: readonly string[] = [],
): ChildProcess =>
  spawn(process.execPath, [...flags, BIN, ...words], {
    env: { ...ENV, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });

async function end(
  child: ChildProcess,
): Promise<{ code: number | null; signal: NodeJS.Signals | null; err: string }> {
  let err = '';
  child.stderr?.on('data', (chunk) => {
    err += chunk;
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { code, signal, err };
}

/** The run opens, holds what it must, verifies, and another step can be added. */
async function expectSound(
  folder: string,
  allowed: readonly (readonly number[])[],
  what: string,
): Promise<void> {
  const { steps } = await readRun(folder);
  const found = steps.map(({ step }) => step ?? -1);
  expect(allowed.map(String), what).toContain(String(found));
  for (const step of steps) expect(step.content, what).toBe(contents[(step.step ?? 0) - 1]);
  const verified = await verifyDelta(folder, context);
  expect(verified, what).toMatchObject({ passed: true });
  const last = STEPS + 2;
  await addToRun(files[last - 1]!, folder, PROVED, context);
  expect(await contentOf(`${folder}@${last}`), what).toBe(contents[last - 1]);
  expect(fs.existsSync(path.join(folder, LOCK)), what).toBe(false);
}

const BEFORE = [1, 2, 3, 4, 5];
const AFTER_ADD = [1, 2, 3, 4, 5, 6];
const AFTER_PRUNE = [2, 4, 5];

describe('kill -9', () => {
  /** Right before every call that changes something on the disk. */
  async function everywhere(words: (folder: string) => string[], after: readonly number[]): Promise<void> {
    const count = path.join(newFolder(), 'count');
    expect(await end(start(words(copy()), { MLSER_TEST_COUNT: count }, ['--require', KILLER]))).toMatchObject(
      { code: 0 },
    );
    const calls = Number(fs.readFileSync(count, 'utf8'));
    expect(calls).toBeGreaterThan(12);
    expect(calls).toBeLessThan(120);
    const seen = new Set<string>();
    const one = async (at: number): Promise<void> => {
      const folder = copy();
      const child = start(words(folder), { MLSER_TEST_KILL_AT: String(at) }, ['--require', KILLER]);
      expect((await end(child)).signal, `call ${at}`).toBe('SIGKILL');
      seen.add(String((await readRun(folder)).steps.map(({ step }) => step)));
      await expectSound(folder, [BEFORE, after], `call ${at} of ${calls}`);
    };
    // Two at a time: they mostly wait for Node to start.
    for (let at = 0; at < calls; at += 2) await Promise.all([at, at + 1].filter((n) => n < calls).map(one));
    expect(seen).toEqual(new Set([BEFORE, after].map(String)));
  }

  it('of an add at every change of the disk', () => everywhere((folder) => addWords(folder), AFTER_ADD));
  it('of a prune at every change of the disk', () => everywhere(pruneWords, AFTER_PRUNE));

  it('of the first add of a run', async () => {
    for (const at of [0, 1, 3, 6, 9, 12, 15]) {
      const folder = path.join(newFolder(), 'run');
      await end(start(addWords(folder, 1), { MLSER_TEST_KILL_AT: String(at) }, ['--require', KILLER]));
      await addToRun(files[0]!, folder, PROVED, context);
      expect(await contentOf(`${folder}@1`)).toBe(contents[0]);
    }
  });

  it('at moments that nobody chose', async () => {
    const once = performance.now();
    expect((await end(start(addWords(copy())))).code).toBe(0);
    const needed = performance.now() - once;
    for (const [words, after] of [
      [(folder: string) => addWords(folder), AFTER_ADD],
      [pruneWords, AFTER_PRUNE],
    ] as const)
      for (const share of [0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1]) {
        const folder = copy();
        const child = start(words(folder));
        const timer = setTimeout(() => child.kill('SIGKILL'), needed * share);
        await end(child);
        clearTimeout(timer);
        await expectSound(folder, [BEFORE, after], `${share}`);
      }
  });
});

describe('signals', () => {
  it('leave the run as it was, without a lock and without leftovers', async () => {
    for (const share of [200, 300, 400]) {
      const folder = copy();
      const child = start(addWords(folder));
      const timer = setTimeout(() => child.kill('SIGTERM'), share);
      const { code } = await end(child);
      clearTimeout(timer);
      expect([0, 143, null]).toContain(code); // null: Node had not started
      expect(fs.readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
      await expectSound(folder, [BEFORE, AFTER_ADD], `${share} ms`);
    }
  });
});

describe('two at once', () => {
  it('both succeed, or one is told that the other works', async () => {
    for (const pause of [0, 0, 40, 80, 120]) {
      const folder = copy();
      const first = end(start(addWords(folder, 6)));
      await new Promise((resolve) => setTimeout(resolve, pause));
      const second = end(start(addWords(folder, 7)));
      const ended = await Promise.all([first, second]);
      const done = ended.filter(({ code }) => code === 0).length;
      expect(done).toBeGreaterThan(0);
      for (const { code, err } of ended)
        if (code !== 0) expect(err).toMatch(/another mlser changes .*\nhint: wait/);
      expect((await readRun(folder)).steps).toHaveLength(STEPS + done);
      expect(await verifyDelta(folder, context)).toMatchObject({ passed: true });
    }
  });

  it('in one process: the second is refused', async () => {
    const folder = copy();
    const both = await Promise.allSettled(
      [6, 7].map((step) => addToRun(files[step - 1]!, folder, PROVED, context)),
    );
    expect(both.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(both.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'E_EXISTS' } });
    expect(await verifyDelta(folder, context)).toMatchObject({ passed: true });
  });
});

describe('a lock', () => {
  const locked = (text: string): string => {
    const folder = copy();
    fs.writeFileSync(path.join(folder, LOCK), text);
    return folder;
  };
  /** A process of this machine that is gone. */
  const gone = (): number => spawnSync(process.execPath, ['-e', '']).pid;

  it('of a process that is gone is taken over', async () => {
    const dead = JSON.stringify({ pid: gone(), host: hostname() });
    await expectSound(locked(dead), [BEFORE], 'dead');
    // In a container the next process may have the number of the one that was killed.
    await expectSound(locked(JSON.stringify({ pid: process.pid, host: hostname() })), [BEFORE], 'own number');
    const folder = locked('');
    const past = new Date(Date.now() - 60_000);
    fs.utimesSync(path.join(folder, LOCK), past, past);
    await expectSound(folder, [BEFORE], 'never written');
    expect(fs.readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it.each([
    ['of a process that lives', JSON.stringify({ pid: process.ppid, host: hostname() })],
    ['of another machine', JSON.stringify({ pid: 1, host: `not ${hostname()}` })],
    ['that is just being written', ''],
    ['that says nothing', 'x'],
  ])('%s is respected', async (_, text) => {
    const folder = locked(text);
    expect(await refusal(addToRun(files[5]!, folder, PROVED, context))).toMatchObject({
      code: 'E_EXISTS',
      hint: expect.stringContaining(LOCK),
    });
    expect(await refusal(pruneRun(folder, { ...PROVED, keepLast: 1 }, context))).toMatchObject({
      code: 'E_EXISTS',
    });
    expect(fs.readFileSync(path.join(folder, LOCK), 'utf8')).toBe(text);
  });
});

/** Files in the folder that this process holds open, where the system tells. */
function openIn(folder: string): string[] {
  if (!fs.existsSync('/proc/self/fd')) return [];
  return fs.readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const file = fs.readlinkSync(`/proc/self/fd/${fd}`);
      return file.startsWith(folder) ? [file] : [];
    } catch {
      return []; // that of the listing itself
    }
  });
}

describe('a disk that is full', () => {
  /** Whatever fails, the folder is as it was before. */
  async function expectUntouched(folder: string, what: string): Promise<void> {
    for (const work of [
      () => addToRun(files[5]!, folder, PROVED, context),
      () => pruneRun(folder, { ...PROVED, keepEvery: 2, keepLast: 1 }, context),
    ]) {
      const before = fs.readdirSync(folder).sort();
      const index = fs.readFileSync(path.join(folder, 'mlser-run.json'), 'utf8');
      const error: unknown = await work().then(
        () => undefined,
        (reason: unknown) => reason,
      );
      outcomes.add(error === undefined ? 'room' : 'none');
      expect(openIn(folder), what).toEqual([]);
      if (error === undefined) continue;
      expect(error, what).toMatchObject({ code: 'E_IO', details: { errno: 'ENOSPC' } });
      expect(fs.readdirSync(folder).sort(), what).toEqual(before);
      expect(fs.readFileSync(path.join(folder, 'mlser-run.json'), 'utf8'), what).toBe(index);
    }
    expect(await verifyDelta(folder, context), what).toMatchObject({ passed: true });
  }
  const outcomes = new Set<string>();

  it('leaves the run as it was', async (test) => {
    const pages = fs
      .readdirSync(run)
      .reduce((sum, name) => sum + Math.ceil(fs.statSync(path.join(run, name)).size / 4096), 0);
    for (let spare = 1; spare < 20; spare++) {
      const folder = newFolder();
      const options = `size=${(pages + spare) * 4096}`;
      const done = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'none', folder]);
      if (done.status !== 0) test.skip('needs the right to mount a small file system');
      try {
        fs.cpSync(run, folder, { recursive: true });
        await expectUntouched(folder, `${spare} pages`);
      } finally {
        spawnSync('umount', [folder]);
      }
    }
    expect([...outcomes].sort()).toEqual(['none', 'room']);
  });
});

describe('a folder that may not be written', () => {
  it('is E_IO, and can be read', (test) => {
    if (process.platform === 'win32') test.skip('modes of folders mean nothing here');
    const folder = copy();
    for (
      let up = folder;
      up.length > path.parse(up).root.length && up.includes('mlser-delta-');
      up = path.dirname(up)
    )
      fs.chmodSync(up, 0o755);
    fs.chmodSync(folder, 0o555);
    // Root may write anywhere.
    const user = process.getuid?.() === 0 ? `process.setuid(65534);` : '';
    const attempt = (words: readonly string[]) =>
      spawnSync(
        process.execPath,
        [
          ...['--input-type=module', '-e'],
          `${user} process.argv.splice(1, 0, 'mlser'); const { main } = await import(${JSON.stringify(path.resolve('dist/cli/main.js'))}); process.exitCode = await main(process.argv.slice(2));`,
          ...words,
        ],
        { env: ENV, encoding: 'utf8' },
      );
    fs.cpSync(files[5]!, path.join(path.dirname(folder), 'step-6.mlck'));
    const words = addWords(folder);
    words[2] = path.join(path.dirname(folder), 'step-6.mlck');
    for (const each of [words, pruneWords(folder)]) {
      const ran = attempt([...each, '--json']);
      expect(ran.status, ran.stderr).toBe(2);
      expect(JSON.parse(ran.stdout).error).toMatchObject({ code: 'E_IO', details: { errno: 'EACCES' } });
    }
    const verified = attempt(['delta', 'verify', folder, '--json', '--threads', '1']);
    expect(verified.status, verified.stderr).toBe(0);
    fs.chmodSync(folder, 0o755);
    expect(fs.readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
  });
});
