import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { removeStaleStaging } from '../../src/io/leftovers.js';
import { removeStagedLeftovers, type StageOptions, stageOutput } from '../../src/io/staged.js';

const root = fs.mkdtempSync(path.join(tmpdir(), 'mlser-staged-'));
afterAll(() => fs.rmSync(root, { recursive: true, force: true }));

let folder = root;
let number = 0;
beforeEach(() => {
  folder = path.join(root, String(number++));
  fs.mkdirSync(folder);
});
const at = (name: string): string => path.join(folder, name);
const put = (name: string, text: string): string => {
  fs.writeFileSync(at(name), text);
  return at(name);
};
const read = (name: string): string => fs.readFileSync(at(name), 'utf8');
const listing = (): string[] => fs.readdirSync(folder).sort();

async function save(
  target: string,
  files: Record<string, string>,
  options: StageOptions = { force: false },
): Promise<void> {
  const output = stageOutput(target, options);
  try {
    for (const [name, text] of Object.entries(files))
      await (await output.create(name)).append(Buffer.from(text));
    await output.commit();
  } catch (error) {
    await output.abort();
    throw error;
  }
}

describe('a normal write', () => {
  it('appears on commit, whole, and nothing else stays', async () => {
    const output = stageOutput(at('a.bin'), { force: false });
    const sink = await output.create('a.bin');
    await sink.writeAt(4, Buffer.from('5678'));
    await sink.writeAt(0, Buffer.from('1234'));
    expect(listing()).toHaveLength(1);
    expect(listing()[0]).toMatch(new RegExp(`^\\.a\\.bin\\.${process.pid}-[0-9a-f]{8}\\.tmp$`));
    const staged = await output.stage();
    expect(Buffer.from(await (await staged.open('a.bin')).read(0, 8)).toString()).toBe('12345678');
    await staged.close();
    await output.commit();
    expect(listing()).toEqual(['a.bin']);
    expect(read('a.bin')).toBe('12345678');
  });

  it('abort leaves nothing, also when it is called twice or after a commit', async () => {
    const output = stageOutput(at('a.bin'), { force: false });
    await (await output.create('a.bin')).append(Buffer.from('x'));
    await output.abort();
    await output.abort();
    expect(listing()).toEqual([]);
    await save(at('b.bin'), { 'b.bin': 'x' });
    expect(listing()).toEqual(['b.bin']);
  });

  it('removeStagedLeftovers removes what was not committed', async () => {
    await (await stageOutput(at('a.bin'), { force: false }).create('a.bin')).append(Buffer.from('x'));
    stageOutput(at('b.bin'), { force: false });
    expect(listing()).toHaveLength(2);
    removeStagedLeftovers();
    expect(listing()).toEqual([]);
  });

  it('a new file has the mode of the umask, a replaced one keeps its own', async () => {
    await save(at('new'), { new: 'x' });
    expect(fs.statSync(at('new')).mode & 0o777).toBe(0o666 & ~process.umask());
    fs.chmodSync(put('old', 'old'), 0o640);
    await save(at('old'), { old: 'new' }, { force: true });
    expect(fs.statSync(at('old')).mode & 0o777).toBe(0o640);
    expect(read('old')).toBe('new');
  });

  it('names lead nowhere else, and are written once', async () => {
    const output = stageOutput(at('a.bin'), { force: false });
    await expect(output.create('../b.bin')).rejects.toMatchObject({ code: 'E_UNSAFE' });
    await output.create('a.bin');
    await expect(output.create('a.bin')).rejects.toMatchObject({ code: 'E_USAGE' });
    await output.abort();
    expect(listing()).toEqual([]);
  });
});

describe('an output that exists', () => {
  it('is refused without force and untouched', async () => {
    put('a.bin', 'old');
    await expect(save(at('a.bin'), { 'a.bin': 'new' })).rejects.toMatchObject({
      code: 'E_EXISTS',
      hint: expect.stringContaining('--force'),
    });
    expect(read('a.bin')).toBe('old');
    expect(listing()).toEqual(['a.bin']);
  });

  it('made meanwhile is kept', async () => {
    const output = stageOutput(at('a.bin'), { force: false });
    await (await output.create('a.bin')).append(Buffer.from('new'));
    put('a.bin', 'meanwhile');
    await expect(output.commit()).rejects.toMatchObject({ code: 'E_EXISTS' });
    await output.abort();
    expect(read('a.bin')).toBe('meanwhile');
    expect(listing()).toEqual(['a.bin']);
  });

  it('as a sibling of the family is refused before a byte is written', async () => {
    put('a.data', 'of another model');
    await expect(save(at('a.onnx'), { 'a.data': 'x', 'a.onnx': 'y' })).rejects.toMatchObject({
      code: 'E_EXISTS',
    });
    expect(listing()).toEqual(['a.data']);
    fs.mkdirSync(at('b.data'));
    const forced = { force: true };
    await expect(save(at('b.onnx'), { 'b.data': 'x', 'b.onnx': 'y' }, forced)).rejects.toMatchObject({
      code: 'E_IO',
      details: { errno: 'EISDIR' },
    });
    expect(listing()).toEqual(['a.data', 'b.data']);
  });

  it('is a folder or no file at all: refused, also with force', () => {
    expect(() => stageOutput(folder, { force: true })).toThrowError(/is a folder/);
    expect(() => stageOutput('/dev/null', { force: true })).toThrowError(/not a regular file/);
    expect(listing()).toEqual([]);
  });

  it('in a folder that is missing or is a file: said before any work', () => {
    put('file', '');
    for (const target of [at('missing/a.bin'), at('file/a.bin')])
      expect(() => stageOutput(target, { force: true })).toThrowError(
        expect.objectContaining({ code: 'E_NOT_FOUND' }),
      );
    expect(listing()).toEqual(['file']);
  });
});

describe('a family', () => {
  it('is taken back whole if one of its files cannot be moved', async () => {
    put('b', 'old b');
    const output = stageOutput(at('main'), { force: true });
    for (const name of ['a', 'b', 'c', 'main'])
      await (await output.create(name)).append(Buffer.from(`new ${name}`));
    fs.mkdirSync(at('c')); // made meanwhile: a rename onto it fails
    await expect(output.commit()).rejects.toMatchObject({ code: 'E_IO' });
    await output.abort();
    expect(listing()).toEqual(['b', 'c']);
    expect(read('b')).toBe('old b');
  });

  it('with another main file: the file at the target is out of date and goes', async () => {
    put('m.bin', 'old');
    const output = stageOutput(at('m.bin'), { force: true });
    output.setMain('m.index.json');
    await (await output.create('m-1.bin')).append(Buffer.from('1'));
    await (await output.create('m.index.json')).append(Buffer.from('{}'));
    await output.commit();
    expect(listing()).toEqual(['m-1.bin', 'm.index.json']);
  });
});

describe('output = input', () => {
  const spellings: readonly [string, (file: string) => string][] = [
    ['the same path', (file) => file],
    ['./a', (file) => path.join(path.dirname(file), '.', `./${path.basename(file)}`)],
    ['a way around', (file) => `${path.dirname(file)}/../${path.basename(path.dirname(file))}/in.bin`],
    [
      'a symbolic link',
      (file) => {
        fs.symlinkSync(file, `${file}.link`);
        return `${file}.link`;
      },
    ],
    [
      'a link to a link',
      (file) => {
        fs.symlinkSync('in.bin', `${file}.one`);
        fs.symlinkSync('in.bin.one', `${file}.two`);
        return `${file}.two`;
      },
    ],
    [
      'a linked folder',
      (file) => {
        fs.symlinkSync('.', path.join(path.dirname(file), 'here'));
        return path.join(path.dirname(file), 'here', 'in.bin');
      },
    ],
    [
      'a hard link',
      (file) => {
        fs.linkSync(file, `${file}.hard`);
        return `${file}.hard`;
      },
    ],
  ];

  it.each(spellings)('%s: without force told apart and refused', async (_, spell) => {
    const input = put('in.bin', 'old');
    const target = spell(input);
    const before = listing();
    await expect(
      save(target, { [path.basename(target)]: 'new' }, { force: false, inputs: [input] }),
    ).rejects.toMatchObject({
      code: 'E_EXISTS',
      message: expect.stringContaining('the input itself'),
      details: { input: true },
    });
    expect(read('in.bin')).toBe('old');
    expect(listing()).toEqual(before);
  });

  it.each(spellings)('%s: with force the old bytes stay readable until the end', async (_, spell) => {
    const input = put('in.bin', 'old');
    const target = spell(input);
    const before = listing();
    const fd = fs.openSync(input, 'r');
    const output = stageOutput(target, { force: true, inputs: [input] });
    await (await output.create(output.main)).append(Buffer.from('new bytes'));
    expect(read('in.bin')).toBe('old');
    await output.commit();
    expect(fs.readFileSync(fd, 'utf8')).toBe('old');
    fs.closeSync(fd);
    expect(fs.readFileSync(target, 'utf8')).toBe('new bytes');
    expect(listing()).toEqual(before);
  });

  it('a file beside the input is no input', async () => {
    const input = put('in.bin', 'old');
    put('out.bin', 'other');
    await expect(save(at('out.bin'), {}, { force: false, inputs: [input] })).rejects.toThrow(
      /out\.bin exists/,
    );
  });
});

describe('a target that is a symbolic link', () => {
  it('stands for the file it points to: that one is replaced, the link stays', async () => {
    fs.mkdirSync(at('real'));
    put('real/model.bin', 'old');
    fs.symlinkSync('real/model.bin', at('link.bin'));
    const output = stageOutput(at('link.bin'), { force: true });
    expect(output.main).toBe('model.bin');
    await (await output.create(output.main)).append(Buffer.from('new'));
    await output.commit();
    expect(fs.readlinkSync(at('link.bin'))).toBe('real/model.bin');
    expect(read('real/model.bin')).toBe('new');
    expect(fs.readdirSync(at('real'))).toEqual(['model.bin']);
  });

  it('to nothing yet: the file it points to is made', async () => {
    fs.symlinkSync('later.bin', at('link.bin'));
    await save(at('link.bin'), { 'later.bin': 'new' });
    expect(fs.lstatSync(at('link.bin')).isSymbolicLink()).toBe(true);
    expect(read('later.bin')).toBe('new');
  });

  it('in a circle is E_IO', () => {
    fs.symlinkSync('b', at('a'));
    fs.symlinkSync('a', at('b'));
    expect(() => stageOutput(at('a'), { force: true })).toThrowError(
      expect.objectContaining({ code: 'E_IO' }),
    );
  });
});

describe('two writers of one target', () => {
  const begin = async (text: string, force: boolean) => {
    const output = stageOutput(at('a.bin'), { force });
    await (await output.create('a.bin')).append(Buffer.from(text));
    return output;
  };

  it('with force both finish, the last one stays', async () => {
    const [one, two] = [await begin('one', true), await begin('two', true)];
    await two.commit();
    await one.commit();
    expect(read('a.bin')).toBe('one');
    expect(listing()).toEqual(['a.bin']);
  });

  it('without force the second one is refused and the first stays', async () => {
    const [one, two] = [await begin('one', false), await begin('two', false)];
    await two.commit();
    await expect(one.commit()).rejects.toMatchObject({ code: 'E_EXISTS' });
    await one.abort();
    expect(read('a.bin')).toBe('two');
    expect(listing()).toEqual(['a.bin']);
  });
});

describe('what killed runs left', () => {
  /** No process has this number (pid_max is 2^22 at most). */
  const GONE = 2 ** 22 + 1;
  const old = new Date(Date.now() - 2 * 24 * 60 * 60 * 1000);
  const stale = (name: string, when = old): void => {
    fs.mkdirSync(at(name));
    put(`${name}/a.bin`, 'part');
    fs.utimesSync(at(`${name}/a.bin`), when, when);
    fs.utimesSync(at(name), when, when);
  };

  it('goes when it is a day old and its process is gone', async () => {
    stale(`.a.bin.${GONE}-0123abcd.tmp`);
    await save(at('b.bin'), { 'b.bin': 'x' });
    expect(listing()).toEqual(['b.bin']);
  });

  it('stays when it is younger, or its process runs, or it is not named or filled as ours', () => {
    stale(`.a.bin.${GONE}-0123abcd.tmp`, new Date());
    stale(`.b.bin.${process.pid}-0123abcd.tmp`);
    stale(`.c.bin.${GONE}-0123abcd`);
    stale(`d.bin.${GONE}-0123abcd.tmp`);
    stale(`.e.bin.${GONE}-0123abcg.tmp`);
    stale(`.f.bin.${GONE}-0123abcd.tmp`);
    fs.mkdirSync(at(`.f.bin.${GONE}-0123abcd.tmp/folder`));
    fs.utimesSync(at(`.f.bin.${GONE}-0123abcd.tmp`), old, old);
    put(`.g.bin.${GONE}-0123abcd.tmp`, 'a file');
    stale('elsewhere');
    fs.symlinkSync('elsewhere', at(`.h.bin.${GONE}-0123abcd.tmp`));
    const before = listing();
    removeStaleStaging(folder);
    expect(listing()).toEqual(before);
    expect(fs.readdirSync(at('elsewhere'))).toEqual(['a.bin']);
    expect(fs.readdirSync(at(`.f.bin.${GONE}-0123abcd.tmp`)).sort()).toEqual(['a.bin', 'folder']);
  });

  it('is no input', async () => {
    stale(`.a.bin.${GONE}-0123abcd.tmp`, new Date());
    const { diskFiles } = await import('../../src/io/disk.js');
    put('a.bin', '');
    expect(await diskFiles(at('a.bin')).list()).toEqual(['a.bin']);
  });
});
