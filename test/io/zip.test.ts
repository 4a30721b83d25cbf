import { deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { crc32, crc32Combine, crc32Plain } from '../../src/io/crc32.js';
import { memorySource } from '../../src/io/memory.js';
import type { ByteSink } from '../../src/io/sink.js';
import { type ByteSource, checkRange, locate } from '../../src/io/source.js';
import {
  inflatedSource,
  inflateMember,
  memberHead,
  memberSource,
  readMember,
  readZipDirectory,
} from '../../src/io/zip/directory.js';
import { finishZip, planZip, ZipAppender } from '../../src/io/zip/writer.js';
import { memoryOutput } from '../support/memory-files.js';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const openZip = (bytes: Uint8Array) => readZipDirectory(memorySource(bytes, 'a.zip'));
const noise = (length: number): Uint8Array => {
  const bytes = new Uint8Array(length);
  let x = 7;
  for (let i = 0; i < length; i++) {
    x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff;
    bytes[i] = x >> 16;
  }
  return bytes;
};

async function storedZip(files: readonly (readonly [string, Uint8Array])[], align?: number): Promise<Buffer> {
  const output = memoryOutput('a.zip');
  const sink = await output.create('a.zip');
  const plan = planZip(
    files.map(([name, data]) => ({ name, size: data.byteLength, ...(align ? { align } : {}) })),
  );
  for (const [i, [, data]] of files.entries()) await sink.writeAt(plan.entries[i]!.dataOffset, data);
  await finishZip(
    sink,
    plan,
    files.map(([, data]) => crc32(data)),
  );
  return Buffer.from(output.bytes());
}

async function deflatedZip(files: readonly (readonly [string, Uint8Array])[]): Promise<Buffer> {
  const output = memoryOutput('a.zip');
  const zip = new ZipAppender(await output.create('a.zip'));
  for (const [name, data] of files)
    await zip.deflate(
      name,
      data.byteLength,
      (async function* () {
        for (let at = 0; at < data.byteLength; at += 100_000) yield data.subarray(at, at + 100_000);
      })(),
    );
  await zip.finish();
  return Buffer.from(output.bytes());
}

/** Offsets inside an archive of one member named `a`, for tests that break it. */
const places = (zip: Buffer): { entry: number; end: number } => ({
  entry: zip.lastIndexOf('PK\x01\x02', undefined, 'latin1'),
  end: zip.lastIndexOf('PK\x05\x06', undefined, 'latin1'),
});

const code = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
    return 'none';
  } catch (error) {
    return String((error as { code?: string }).code);
  }
};

describe('crc32', () => {
  it('is the check value of the standard, natively and plainly', () => {
    expect(crc32(text('123456789'))).toBe(0xcbf43926);
    expect(crc32Plain(text('123456789'))).toBe(0xcbf43926);
    expect(crc32Plain(text('6789'), crc32(text('12345')))).toBe(0xcbf43926);
  });
  it('combines the sums of pieces', () => {
    const all = noise(5000);
    for (const cut of [0, 1, 7, 2500, 4999, 5000])
      expect(crc32Combine(crc32(all.subarray(0, cut)), crc32(all.subarray(cut)), 5000 - cut)).toBe(
        crc32(all),
      );
  });
});

describe('stored archives', () => {
  const files = [
    ['a', noise(1000)],
    ['dir/ключ 🎉', noise(5)],
    ['empty', new Uint8Array()],
  ] as const;

  it('come back, aligned, the same bytes every time', async () => {
    for (const align of [1, 64, 4096]) {
      const bytes = await storedZip(files, align);
      expect(Buffer.compare(bytes, await storedZip(files, align))).toBe(0);
      const zip = await openZip(bytes);
      expect(zip.findings).toEqual([]);
      expect(zip.members.map((member) => member.name)).toEqual(files.map(([name]) => name));
      for (const [i, member] of zip.members.entries()) {
        expect((await member.dataOffset()) % align).toBe(0);
        expect(await readMember(zip, member)).toEqual(files[i]![1]);
      }
    }
  });

  it('give windows that know their place and their sum', async () => {
    const bytes = await storedZip(files);
    const zip = await openZip(bytes);
    const source = await memberSource(zip, zip.members[0]!);
    expect(source.crc32).toBe(crc32(files[0][1]));
    const place = locate(source, 10);
    expect(place.source.name).toBe('a.zip');
    expect(bytes.subarray(place.offset, place.offset + 5)).toEqual(Buffer.from(files[0][1].subarray(10, 15)));
    expect(await source.read(10, 5)).toEqual(files[0][1].slice(10, 15));
    expect(await code(source.read(998, 3))).toBe('E_TRUNCATED');
  });

  it('uses zip64 past 65,535 members', async () => {
    const none = new Uint8Array();
    const zip = await openZip(
      await storedZip(
        Array.from({ length: 65_600 }, (_, i) => [`${i}`, none] as const),
        1,
      ),
    );
    expect(zip.members.length).toBe(65_600);
    expect(zip.members.at(-1)?.name).toBe('65599');
  });

  it('uses zip64 past 4 GiB, for sizes and for offsets', async () => {
    const sparse = sparseFile();
    const big = 5 * 2 ** 30;
    const plan = planZip([
      { name: 'big', size: big },
      { name: 'small', size: 3 },
    ]);
    await sparse.writeAt(plan.entries[1]!.dataOffset, text('abc'));
    await finishZip(sparse, plan, [1, crc32(text('abc'))]);
    const zip = await readZipDirectory(sparse);
    const [first, second] = zip.members;
    expect([first?.size, await first?.dataOffset()]).toEqual([big, 64]);
    expect(second?.localHeaderOffset).toBe(big + 64);
    expect(Buffer.from(await readMember(zip, second!)).toString()).toBe('abc');
  });
});

/** A file of which only the written pieces take memory; the rest is zero. */
function sparseFile(): ByteSink & ByteSource {
  const pieces: { at: number; bytes: Uint8Array }[] = [];
  return {
    name: 'sparse.zip',
    size: 0,
    async writeAt(at, bytes) {
      pieces.push({ at, bytes: bytes.slice() });
      Object.assign(this, { size: Math.max(this.size, at + bytes.byteLength) });
    },
    append(bytes) {
      return this.writeAt(this.size, bytes);
    },
    extendTo() {},
    async read(offset, length) {
      checkRange(this, offset, length);
      const out = new Uint8Array(length);
      for (const { at, bytes } of pieces)
        for (let i = Math.max(at, offset); i < Math.min(at + bytes.byteLength, offset + length); i++)
          out[i - offset] = bytes[i - at]!;
      return out;
    },
  };
}

describe('deflated archives', () => {
  it('come back in order, from any place, and by their first bytes', async () => {
    const repeated = Buffer.alloc(9 * 1024 * 1024, noise(3000)); // more than is inflated in one call
    const files = [
      ['small', text('hello hello hello')],
      ['large', new Uint8Array(repeated)],
    ] as const;
    const zip = await openZip(await deflatedZip(files));
    for (const [i, member] of zip.members.entries()) {
      const want = files[i]![1];
      expect(member.compressedSize).toBeLessThan(want.byteLength + 5);
      expect(Buffer.compare(await readMember(zip, member), want)).toBe(0);
      expect(await memberHead(zip, member, 10)).toEqual(want.slice(0, 10));
      const source = inflatedSource(zip, member);
      expect(source.derived).toBe(true);
      for (const [at, length] of [
        [want.byteLength - 4, 4],
        [3, 8],
        [Math.floor(want.byteLength / 2), 5],
        [0, Math.min(want.byteLength, 3_000_000)],
      ] as const)
        expect(Buffer.compare(await source.read(at, length), want.subarray(at, at + length))).toBe(0);
    }
    const rest: Uint8Array[] = [];
    for await (const chunk of inflateMember(zip, zip.members[1]!, 9_000_000)) rest.push(chunk);
    expect(Buffer.compare(Buffer.concat(rest), repeated.subarray(9_000_000))).toBe(0);
  });

  it('stop where the consumer stops', async () => {
    const zip = await openZip(await deflatedZip([['a', noise(3_000_000)]]));
    for await (const chunk of inflateMember(zip, zip.members[0]!)) {
      expect(chunk.byteLength).toBeGreaterThan(0);
      break;
    }
  });
});

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

describe('data descriptors', () => {
  it('are not needed: sizes come from the directory', async () => {
    const data = text('streamed into a pipe');
    const packed = deflateRawSync(data);
    const local = Buffer.alloc(31);
    local.write('PK\x03\x04', 'latin1');
    local.writeUInt16LE(8, 6); // sizes follow the data
    local.writeUInt16LE(8, 8);
    local.writeUInt16LE(1, 26);
    local.write('s', 30);
    const entry = Buffer.alloc(47);
    entry.write('PK\x01\x02', 'latin1');
    entry.writeUInt16LE(8, 8);
    entry.writeUInt16LE(8, 10);
    entry.writeUInt32LE(crc32(data), 16);
    entry.writeUInt32LE(packed.byteLength, 20);
    entry.writeUInt32LE(data.byteLength, 24);
    entry.writeUInt16LE(1, 28);
    entry.write('s', 46);
    const descriptor = Buffer.alloc(12, 0xee);
    const end = Buffer.alloc(22);
    end.write('PK\x05\x06', 'latin1');
    end.writeUInt16LE(1, 8);
    end.writeUInt16LE(1, 10);
    end.writeUInt32LE(entry.byteLength, 12);
    end.writeUInt32LE(local.byteLength + packed.byteLength + descriptor.byteLength, 16);
    const zip = await openZip(Buffer.concat([local, packed, descriptor, entry, end]));
    expect(await readMember(zip, zip.members[0]!)).toEqual(data);
  });
});
