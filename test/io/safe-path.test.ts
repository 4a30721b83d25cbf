import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { diskFiles } from '../../src/io/disk.js';
import { checkRelativeName } from '../../src/io/safe-path.js';

const root = mkdtempSync(path.join(tmpdir(), 'mlser-links-'));
const at = (...parts: string[]): string => path.join(root, ...parts);
afterAll(() => rmSync(root, { recursive: true, force: true }));

beforeAll(() => {
  for (const folder of ['model/sub', 'cache/blobs', 'cache/snapshots/abc'])
    mkdirSync(at(folder), { recursive: true });
  for (const file of ['model/main', 'model/sub/data', 'secret', 'cache/blobs/1', 'cache/blobs/2'])
    writeFileSync(at(file), 'text');
  symlinkSync('sub/data', at('model/inside'));
  symlinkSync('../secret', at('model/outside'));
  symlinkSync('..', at('model/up'));
  symlinkSync('nowhere', at('model/dangling'));
  symlinkSync('circle', at('model/circle'));
  // As the Hugging Face cache lays it out: names are links into a folder of contents.
  symlinkSync('../../blobs/1', at('cache/snapshots/abc/main'));
  symlinkSync('../../blobs/2', at('cache/snapshots/abc/data'));
  symlinkSync('../../../secret', at('cache/snapshots/abc/outside'));
});

/** Size of a file that a model names, or the code of the refusal. */
async function open(main: string, name: string): Promise<number | string> {
  const files = diskFiles(at(main));
  try {
    return (await files.open(name)).size;
  } catch (error) {
    return (error as { code: string }).code;
  } finally {
    await files.close();
  }
}

describe('links that a model names', () => {
  it('are followed inside the folder, and nowhere else', async () => {
    expect(await open('model/main', 'inside')).toBe(4);
    expect(await open('model/main', 'sub/data')).toBe(4);
    expect(await open('model/main', 'outside')).toBe('E_UNSAFE');
    expect(await open('model/main', 'up/secret')).toBe('E_UNSAFE');
    expect(await open('model/main', 'dangling')).toBe('E_NOT_FOUND');
    expect(await open('model/main', 'circle')).toBe('E_IO');
  });

  it('may lie beside the real place of the model', async () => {
    expect(await open('cache/snapshots/abc/main', 'data')).toBe(4);
    expect(await open('cache/snapshots/abc/main', 'outside')).toBe('E_UNSAFE');
  });
});

it.each(['', '/etc/hosts', '../x', 'a/../../x', '..\\x', 'C:x', 'C:\\x', '\\\\server\\x', 'a\0b'])(
  'the name %j is refused before anything is opened',
  (name) => {
    expect(() => checkRelativeName(name)).toThrow(expect.objectContaining({ code: 'E_UNSAFE' }));
  },
);
