import { describe, expect, it } from 'vitest';
import { readMember } from '../../src/io/zip/directory.js';
import { code, deflatedZip, noise, openZip, places, storedZip } from './zip-support.js';

describe('damaged members', () => {
  it('stored: a flipped bit, another name, size or sum in the local header', async () => {
    const good = await storedZip([['a', noise(100)]], 1);
    const broken = async (change: (zip: Buffer) => void): Promise<string> => {
      const bytes = Buffer.from(good);
      change(bytes);
      const zip = await openZip(bytes);
      return code(readMember(zip, zip.members[0]!));
    };
    expect(await broken(() => {})).toBe('none');
    expect(await broken((zip) => zip.writeUInt8(zip[60]! ^ 1, 60))).toBe('E_INTEGRITY');
    expect(await broken((zip) => zip.write('b', 30))).toBe('E_MALFORMED');
    expect(await broken((zip) => zip.write('X', 0))).toBe('E_MALFORMED');
    expect(await broken((zip) => zip.writeUInt32LE(99, 22))).toBe('E_MALFORMED');
    expect(await broken((zip) => zip.writeUInt32LE(99, 14))).toBe('E_MALFORMED');
    expect(await broken((zip) => zip.writeUInt16LE(8, 8))).toBe('E_MALFORMED');
    expect(await broken((zip) => zip.writeUInt16LE(1, 6))).toBe('E_MALFORMED');
    expect(await broken((zip) => zip.writeUInt16LE(5, 28))).toBe('E_MALFORMED'); // data would end in the directory
  });

  it.each([1000, 3_000_000])('deflated, %i bytes: a flipped bit, a cut, a wrong size', async (size) => {
    const good = await deflatedZip([['a', Buffer.alloc(size, noise(301))]]);
    const { entry } = places(good);
    const broken = async (change: (zip: Buffer) => void): Promise<string> => {
      const bytes = Buffer.from(good);
      change(bytes);
      const zip = await openZip(bytes);
      return code(readMember(zip, zip.members[0]!));
    };
    const sizes = (zip: Buffer, value: number): void => {
      zip.writeUInt32LE(value, entry + 24);
      zip.writeUInt32LE(value, 22);
    };
    expect(await broken(() => {})).toBe('none');
    expect(await broken((zip) => zip.writeUInt8(zip[100]! ^ 0x10, 100))).toMatch(/E_INTEGRITY|E_MALFORMED/);
    expect(await broken((zip) => zip.fill(0, entry - 20, entry))).toMatch(/E_INTEGRITY|E_MALFORMED/);
    expect(await broken((zip) => sizes(zip, size - 1))).toBe('E_MALFORMED');
    expect(await broken((zip) => sizes(zip, size + 1))).toBe('E_MALFORMED');
    const wrong = (zip: Buffer): void => {
      zip.writeUInt32LE(7, entry + 16);
      zip.writeUInt32LE(7, 14);
    };
    expect(await broken(wrong)).toBe('E_INTEGRITY');
  });
});

describe('damaged directories', () => {
  const broken = async (
    change: (zip: Buffer, at: { entry: number; end: number }) => Buffer | number | string,
  ) => {
    const zip = await storedZip(
      [
        ['a', noise(10)],
        ['b', noise(10)],
      ],
      1,
    );
    const changed = change(zip, places(zip));
    return code(openZip(Buffer.isBuffer(changed) ? changed : zip));
  };
  it.each<[string, string, (zip: Buffer, at: { entry: number; end: number }) => Buffer | number | string]>([
    ['an empty file', 'E_TRUNCATED', () => Buffer.alloc(0)],
    ['cut in the end record', 'E_TRUNCATED', (zip) => zip.subarray(0, -1)],
    ['cut before the directory', 'E_TRUNCATED', (zip) => zip.subarray(0, 90)],
    ['directory past its end', 'E_MALFORMED', (zip, { end }) => zip.writeUInt32LE(end - 3, end + 16)],
    ['no directory there', 'E_MALFORMED', (zip, { end }) => zip.writeUInt32LE(1, end + 16)],
    [
      'more entries than there are',
      'E_MALFORMED',
      (zip, { end }) => {
        zip.writeUInt16LE(9, end + 8);
        return zip.writeUInt16LE(9, end + 10);
      },
    ],
    [
      'fewer entries than there are',
      'E_MALFORMED',
      (zip, { end }) => {
        zip.writeUInt16LE(1, end + 8);
        return zip.writeUInt16LE(1, end + 10);
      },
    ],
    ['a split archive', 'E_UNSUPPORTED', (zip, { end }) => zip.writeUInt16LE(1, end + 4)],
    ['an entry without signature', 'E_MALFORMED', (zip, { entry }) => zip.write('XX', entry)],
    ['an entry past the directory', 'E_MALFORMED', (zip, { entry }) => zip.writeUInt16LE(9, entry + 28)],
    ['an encrypted entry', 'E_UNSUPPORTED', (zip, { entry }) => zip.writeUInt16LE(1, entry + 8)],
    ['bzip2', 'E_UNSUPPORTED', (zip, { entry }) => zip.writeUInt16LE(12, entry + 10)],
    ['stored with two sizes', 'E_MALFORMED', (zip, { entry }) => zip.writeUInt32LE(11, entry + 24)],
    [
      'zip64 sizes without the field',
      'E_MALFORMED',
      (zip, { entry }) => zip.writeUInt32LE(0xffffffff, entry + 42),
    ],
    ['a member past the end', 'E_MALFORMED', (zip, { entry }) => zip.writeUInt32LE(2 ** 31, entry + 42)],
    ['members that overlap', 'E_MALFORMED', (zip, { entry }) => zip.writeUInt32LE(0, entry + 42)],
    ['two members of one name', 'E_MALFORMED', (zip, { entry }) => zip.write('a', entry + 46)],
    ['NUL in a name', 'E_MALFORMED', (zip, { entry }) => zip.write('\0', entry + 46)],
    [
      'a name that is not UTF-8',
      'E_MALFORMED',
      (zip, { entry }) => {
        zip.writeUInt16LE(0x800, entry + 8);
        return zip.writeUInt8(0xff, entry + 46);
      },
    ],
    [
      'a bomb by its ratio',
      'E_LIMIT',
      (zip, { entry }) => {
        zip.writeUInt16LE(8, entry + 10);
        return zip.writeUInt32LE(10 * 2001, entry + 24);
      },
    ],
  ])('%s: %s', async (_, want, change) => {
    expect(await broken(change)).toBe(want);
  });

  it('names are code page 437 unless they say UTF-8', async () => {
    const zip = await storedZip([['a', noise(10)]], 1);
    zip.writeUInt8(0x81, 30);
    zip.writeUInt8(0x81, places(zip).entry + 46);
    const directory = await openZip(zip);
    expect(directory.members[0]?.name).toBe('ü');
    expect(await code(readMember(directory, directory.members[0]!))).toBe('none');
  });
});

describe('the end record', () => {
  const withComment = async (comment: (zip: Buffer) => Buffer, length?: number): Promise<Buffer> => {
    const zip = await storedZip([['a', noise(10)]], 1);
    const tail = comment(zip);
    zip.writeUInt16LE(length ?? tail.byteLength, zip.byteLength - 2);
    return Buffer.concat([zip, tail]);
  };
  const codes = async (zip: Buffer): Promise<string[]> => (await openZip(zip)).findings.map((f) => f.code);

  it('may have a comment, of any length', async () => {
    expect(await codes(await withComment(() => Buffer.from('made by hand')))).toEqual([]);
    expect(await codes(await withComment(() => Buffer.alloc(65_535, 'c')))).toEqual([]);
  });
  it('is not a signature in the comment', async () => {
    expect(
      await codes(await withComment(() => Buffer.from('see PK\x05\x06 for more of this, and so on'))),
    ).toEqual(['ZIP_END_IN_COMMENT']);
  });
  it('is refused when the comment holds another that is as good', async () => {
    const zip = await withComment((whole) => Buffer.from(whole.subarray(-22)));
    expect(await code(openZip(zip))).toBe('E_MALFORMED');
  });
  it('may be followed by bytes, or have a cut comment: read with a warning', async () => {
    expect(await codes(await withComment(() => Buffer.from('xyz'), 0))).toEqual(['ZIP_TRAILING_BYTES']);
    expect(await codes(await withComment(() => Buffer.from('xyz'), 30))).toEqual(['ZIP_COMMENT_CUT']);
  });
  it('of an empty archive is enough', async () => {
    expect((await openZip(await storedZip([]))).members).toEqual([]);
  });
});
