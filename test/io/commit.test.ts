import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { diskFiles } from '../../src/io/disk.js';
import { identityOf, recover, writeJournal } from '../../src/io/journal.js';
import { finishCommits } from '../../src/io/leftovers.js';
import { stageOutput } from '../../src/io/staged.js';

/** Families of files, replaced by processes that are killed before every single change that they make. */

const root = fs.mkdtempSync(path.join(tmpdir(), 'mlser-commit-'));
afterAll(() => fs.rmSync(root, { recursive: true, force: true }));

let folder = root;
let number = 0;
const fresh = (): void => {
  folder = path.join(root, String(number++));
  fs.mkdirSync(folder);
};
beforeEach(fresh);
const at = (name: string): string => path.join(folder, name);
const put = (name: string, text = `old ${name}`): void => fs.writeFileSync(at(name), text);
const read = (name: string): string => fs.readFileSync(at(name), 'utf8');
const visible = (): string[] =>
  fs
    .readdirSync(folder)
    .filter((name) => !name.endsWith('.tmp'))
    .sort();

const child = path.resolve('test/support/family-child.js');
const run = (...words: string[]) => spawnSync(process.execPath, [child, ...words], { encoding: 'utf8' });

interface Case {
  readonly title: string;
  /** The new family, main last. */
  readonly family: readonly string[];
  readonly old: readonly string[];
  readonly main: string;
  readonly words: readonly string[];
}
const FAMILY = ['m-1-of-2.bin', 'm-2-of-2.bin', 'm.index.json'];
const CASES: readonly Case[] = [
  {
    title: 'shards over shards',
    family: FAMILY,
    old: FAMILY,
    main: 'm.index.json',
    words: ['force'],
  },
  {
    title: 'more shards over one of their names',
    family: FAMILY,
    old: ['m-2-of-2.bin', 'm.index.json'],
    main: 'm.index.json',
    words: ['force'],
  },
  {
    title: 'a graph with data of a new name over a graph',
    family: ['g.1.data', 'g.onnx'],
    old: ['g.data', 'g.onnx'],
    main: 'g.onnx',
    words: ['force'],
  },
  { title: 'nothing there', family: FAMILY, old: [], main: 'm.index.json', words: [] },
  {
    title: 'shards in the place of one file',
    family: FAMILY,
    old: ['m.bin'],
    main: 'm.index.json',
    words: ['force', 'retire=m.bin'],
  },
  {
    title: 'fewer data files over more',
    family: ['g.onnx_data', 'g.onnx'],
    old: ['g.onnx_data', 'g.onnx_data_1', 'g.onnx_data_2', 'g.onnx'],
    main: 'g.onnx',
    words: ['force', 'surplus=g.onnx_data_1', 'surplus=g.onnx_data_2'],
  },
];

/** The text of a family is one of two; undefined where its main file is not there. */
function state({ family, old, main }: Case): 'old' | 'new' | 'none' {
  if (!fs.existsSync(at(main))) return 'none';
  const which = read(main).startsWith('new') ? 'new' : 'old';
  for (const name of which === 'new' ? family : old) expect(read(name)).toBe(`${which} ${name}`);
  return which;
}

const arrange = ({ old }: Case): void => {
  fresh();
  for (const name of old) put(name);
};

describe.each(CASES.map((one) => [one.title, one] as const))('kill -9 in a commit: %s', (_, one) => {
  const commit = (n: number) => run('commit', folder, String(n), one.family.join(','), ...one.words);
  const goes = (name: string): boolean =>
    one.words.includes(`retire=${name}`) || one.words.includes(`surplus=${name}`);
  const after = new Set([...one.family, ...one.old].filter((name) => !goes(name)));

  it('before any change: never a mix for any reader, and whole once mlser looks', async () => {
    const seen = new Set<string>();
    for (let n = 1; ; n++) {
      expect(n).toBeLessThan(60);
      arrange(one);
      const end = commit(n);
      if (end.signal === null) {
        expect(end.status, end.stderr).toBe(0);
        expect(Number(end.stdout), 'every change was one').toBe(n - 1);
        break;
      }
      const now = state(one);
      seen.add(now);
      const before = visible();
      // What the next run sees of the model: opening is enough if its main file is not there, an output always is.
      if (now === 'none' && one.old.includes(one.main)) {
        const files = diskFiles(at(one.main));
        await files.open(files.main);
        await files.close();
        expect(state(one), `killed before change ${n}`).toBe('new');
      }
      const staged = stageOutput(at('other.bin'), { force: false });
      await staged.abort();
      const healed = state(one);
      if (healed === 'new') expect(new Set(visible())).toEqual(after);
      else expect(visible(), `killed before change ${n}`).toEqual(before);
      expect(['old', 'none', 'new']).toContain(healed);
      if (healed === 'none') expect(one.old).not.toContain(one.main);
      expect(fs.readdirSync(folder).filter((name) => name.endsWith('.tmp')).length).toBeLessThanOrEqual(1);
    }
    expect(seen).toContain('new');
    const clash = one.family.slice(0, -1).some((name) => one.old.includes(name));
    expect(seen.has('none')).toBe(clash || !one.old.includes(one.main));
    expect(new Set(visible())).toEqual(after);
  }, 120_000);
});

describe('kill -9 while what a killed run left is brought to its end', () => {
  const one = CASES[0]!;
  /** Killed with the main file out of the way and one shard of each family there. */
  const half = (): void => {
    for (let n = 1; n < 40; n++) {
      arrange(one);
      expect(run('commit', folder, String(n), one.family.join(','), 'force').signal).toBe('SIGKILL');
      if (visible().length === 2 && read(FAMILY[0]!) === `new ${FAMILY[0]}`) return;
    }
    throw new Error('no such state');
  };

  it('before any change: the run after that brings it to its end', () => {
    for (let n = 1; ; n++) {
      expect(n).toBeLessThan(40);
      half();
      const end = run('open', at(one.main), String(n));
      expect(['none', 'new']).toContain(state(one));
      finishCommits(folder);
      expect(state(one), `killed before change ${n}`).toBe('new');
      expect(visible()).toEqual([...FAMILY].sort());
      if (end.signal !== null) continue;
      expect(end.status, end.stderr).toBe(0);
      expect(fs.readdirSync(folder).sort()).toEqual([...FAMILY].sort());
      break;
    }
  }, 120_000);
});

describe('a commit that fails', () => {
  it('without force a data file that was made meanwhile stays, and what was moved goes', async () => {
    const output = stageOutput(at('m.index.json'), { force: false });
    for (const name of FAMILY) await (await output.create(name)).append(Buffer.from('new'));
    put('m-2-of-2.bin', 'theirs');
    await expect(output.commit()).rejects.toMatchObject({ code: 'E_EXISTS' });
    await output.abort();
    expect(visible()).toEqual(['m-2-of-2.bin']);
    expect(read('m-2-of-2.bin')).toBe('theirs');
    expect(fs.readdirSync(folder)).toEqual(['m-2-of-2.bin']);
  });
});

describe('a journal', () => {
  /** No process has this number. */
  const GONE = 2 ** 22 + 1;
  const staging = (): string => at(`.m.${GONE}-0123abcd.tmp`);
  const arrangeJournal = (): void => {
    put('a');
    fs.mkdirSync(staging());
    fs.writeFileSync(path.join(staging(), 'a'), 'new a');
    const old = identityOf(at('a'));
    const fresh = identityOf(path.join(staging(), 'a'));
    if (!old || !fresh) throw new Error('files are missing');
    writeJournal(staging(), folder, { steps: [{ name: 'a', old, fresh }] });
  };
  const edit = (change: (text: string) => string): void => {
    const file = path.join(staging(), '.mlser-commit.json');
    fs.writeFileSync(file, change(fs.readFileSync(file, 'utf8')));
  };

  it('is followed', () => {
    arrangeJournal();
    expect(finishCommits(folder)).toBe(true);
    expect(read('a')).toBe('new a');
    expect(fs.readdirSync(folder)).toEqual(['a']);
  });

  it.each<[string, () => void]>([
    ['of a file that somebody has changed since', () => fs.writeFileSync(at('a'), 'theirs')],
    [
      'of another machine',
      () => edit((text) => text.replace(JSON.stringify(hostname()), '"elsewhere.example"')),
    ],
    ['that is no JSON', () => edit(() => '{')],
    ['that leads out of the folder', () => edit((text) => text.replace('"name":"a"', '"name":"../a"'))],
  ])('%s is left alone, and nothing is touched', (_, change) => {
    arrangeJournal();
    change();
    const before = read('a');
    expect(finishCommits(folder)).toBe(false);
    expect(read('a')).toBe(before);
    expect(fs.readFileSync(path.join(staging(), 'a'), 'utf8')).toBe('new a');
  });

  it('of a process that runs is its own business', () => {
    arrangeJournal();
    fs.renameSync(staging(), at(`.m.${process.pid}-0123abcd.tmp`));
    expect(finishCommits(folder)).toBe(false);
    expect(read('a')).toBe('old a');
  });

  it('to take back: what was replaced returns', () => {
    arrangeJournal();
    fs.renameSync(path.join(staging(), '.mlser-commit.json'), path.join(staging(), '.mlser-undo.json'));
    fs.renameSync(at('a'), path.join(staging(), '.mlser-old-0'));
    fs.renameSync(path.join(staging(), 'a'), at('a'));
    expect(recover(staging(), folder)).toBe(true);
    expect(read('a')).toBe('old a');
  });
});
