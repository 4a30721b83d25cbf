import { deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { crc32 } from '../../src/io/crc32.js';
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
import { finishZip, planZip } from '../../src/io/zip/writer.js';
import { code, deflatedZip, noise, openZip, storedZip, text } from './zip-support.js';

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
