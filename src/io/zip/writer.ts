import type { ByteSink } from '../sink.js';
import { encodeName } from './names.js';

const LOCAL_BYTES = 30;
const ENTRY_BYTES = 46;
/** Largest value of a 32-bit field; itself it means "see the zip64 field". */
const MAX32 = 0xffffffff;
const MAX16 = 0xffff;
/** 1980-01-01 00:00: archives of the same members are the same bytes. */
const DOS_DATE = 0x0021;
/** Extra field that aligns the data: alignment (u16), then zeros (id of Android's zipalign). */
const ALIGN_FIELD = 0xd935;
const ALIGN_LEAST = 6;
/** A member of which only the worst case is known: deflate adds at most 5 bytes per 16 KiB block. */
const mayPass4GiB = (size: number): boolean => size + Math.ceil(size / 1000) + 1024 >= MAX32;

export interface ZipEntryPlan {
  readonly name: string;
  /** Bytes of the data. */
  readonly size: number;
  /** The data begins at a multiple of this; default 64. 1 = no alignment. */
  readonly align?: number;
}

export interface PlannedEntry {
  readonly name: string;
  readonly size: number;
  readonly headerOffset: number;
  readonly dataOffset: number;
  readonly align: number;
}

export interface ZipPlan {
  readonly entries: readonly PlannedEntry[];
  /** Where the central directory begins. */
  readonly directoryOffset: number;
}

/** The layout of an archive of stored members, in order, before a byte is written: data can then go anywhere in parallel. */
export function planZip(entries: readonly ZipEntryPlan[]): ZipPlan {
  const planned: PlannedEntry[] = [];
  let at = 0;
  for (const { name, size, align = 64 } of entries) {
    const least = LOCAL_BYTES + encodeName(name).bytes.byteLength + (size >= MAX32 ? 20 : 0);
    let gap = (align - ((at + least) % align)) % align;
    while (gap > 0 && gap < ALIGN_LEAST) gap += align;
    const dataOffset = at + least + gap;
    planned.push({ name, size, headerOffset: at, dataOffset, align });
    at = dataOffset + size;
  }
  return { entries: planned, directoryOffset: at };
}

/** Writes the local headers, the central directory and the end records around data that is already in place. */
export async function finishZip(sink: ByteSink, plan: ZipPlan, crcs: readonly number[]): Promise<void> {
  const members: WrittenMember[] = [];
  for (const [index, entry] of plan.entries.entries()) {
    const crc = crcs[index];
    if (crc === undefined) throw new Error(`no CRC for zip entry ${entry.name}`);
    const member = { ...entry, crc, method: 0, compressedSize: entry.size };
    members.push(member);
    const room = entry.dataOffset - entry.headerOffset;
    await sink.writeAt(entry.headerOffset, localHeader(member, room, entry.size >= MAX32, entry.align));
  }
  await sink.writeAt(plan.directoryOffset, directory(members, plan.directoryOffset));
}

interface WrittenMember {
  readonly name: string;
  readonly method: number;
  readonly crc: number;
  readonly size: number;
  readonly compressedSize: number;
  readonly headerOffset: number;
}

/**
 * An archive whose members are deflated one after another: their sizes are known only when they are written, so
 * each local header is put in place afterwards.
 */
export class ZipAppender {
  readonly #sink: ByteSink;
  readonly #members: WrittenMember[] = [];
  #at = 0;

  constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  /** `chunks` are the raw bytes, `size` in all. Level 6 of zlib, as numpy uses it. */
  async deflate(name: string, size: number, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const { deflated } = await import('./deflate.js');
    const wide = mayPass4GiB(size);
    const room = LOCAL_BYTES + encodeName(name).bytes.byteLength + (wide ? 20 : 0);
    const headerOffset = this.#at;
    let at = headerOffset + room;
    const { output, sum } = deflated(chunks);
    for await (const chunk of output) {
      await this.#sink.writeAt(at, chunk);
      at += chunk.byteLength;
    }
    if (sum.size !== size)
      throw new Error(`zip entry ${name}: ${sum.size} bytes came, ${size} were announced`);
    const compressedSize = at - headerOffset - room;
    const member = { name, method: 8, crc: sum.crc, size, compressedSize, headerOffset };
    await this.#sink.writeAt(headerOffset, localHeader(member, room, wide));
    this.#members.push(member);
    this.#at = at;
  }

  async finish(): Promise<void> {
    await this.#sink.writeAt(this.#at, directory(this.#members, this.#at));
  }
}

function localHeader(member: WrittenMember, room: number, wide: boolean, align = 1): Uint8Array {
  const name = encodeName(member.name);
  const bytes = Buffer.alloc(room);
  bytes.write('PK\x03\x04', 'latin1');
  bytes.writeUInt16LE(wide ? 45 : 20, 4);
  common(bytes, 6, member, name.utf8, wide);
  bytes.writeUInt16LE(name.bytes.byteLength, 26);
  bytes.set(name.bytes, LOCAL_BYTES);
  let at = LOCAL_BYTES + name.bytes.byteLength;
  bytes.writeUInt16LE(room - at, 28);
  if (wide) at = zip64Field(bytes, at, [member.size, member.compressedSize]);
  if (at < room) {
    bytes.writeUInt16LE(ALIGN_FIELD, at);
    bytes.writeUInt16LE(room - at - 4, at + 2);
    bytes.writeUInt16LE(align, at + 4);
  }
  return bytes;
}

/** Flags to sizes: the 20 bytes that local headers and directory entries have in common. */
function common(bytes: Buffer, at: number, member: WrittenMember, utf8: boolean, wide: boolean): void {
  bytes.writeUInt16LE(utf8 ? 0x800 : 0, at);
  bytes.writeUInt16LE(member.method, at + 2);
  bytes.writeUInt16LE(0, at + 4); // time
  bytes.writeUInt16LE(DOS_DATE, at + 6);
  bytes.writeUInt32LE(member.crc, at + 8);
  bytes.writeUInt32LE(wide ? MAX32 : member.compressedSize, at + 12);
  bytes.writeUInt32LE(wide ? MAX32 : member.size, at + 16);
}

function zip64Field(bytes: Buffer, at: number, values: readonly number[]): number {
  bytes.writeUInt16LE(1, at);
  bytes.writeUInt16LE(values.length * 8, at + 2);
  for (const [i, value] of values.entries()) bytes.writeBigUInt64LE(BigInt(value), at + 4 + i * 8);
  return at + 4 + values.length * 8;
}

/** Central directory and end records; zip64 ones only where a value needs them. */
function directory(members: readonly WrittenMember[], offset: number): Uint8Array {
  const entries = members.map(directoryEntry);
  const size = entries.reduce((sum, entry) => sum + entry.byteLength, 0);
  const wide = members.length >= MAX16 || size >= MAX32 || offset >= MAX32;
  return Buffer.concat([
    ...entries,
    ...(wide ? [zip64End(members.length, size, offset)] : []),
    end(members.length, size, offset),
  ]);
}

function directoryEntry(member: WrittenMember): Buffer {
  const name = encodeName(member.name);
  const wideSize = member.size >= MAX32 || member.compressedSize >= MAX32;
  const values = [
    ...(wideSize ? [member.size, member.compressedSize] : []),
    ...(member.headerOffset >= MAX32 ? [member.headerOffset] : []),
  ];
  const extra = values.length === 0 ? 0 : 4 + values.length * 8;
  const bytes = Buffer.alloc(ENTRY_BYTES + name.bytes.byteLength + extra);
  bytes.write('PK\x01\x02', 'latin1');
  bytes.writeUInt16LE(extra > 0 ? 45 : 20, 4); // made by: MS-DOS, this version
  bytes.writeUInt16LE(extra > 0 ? 45 : 20, 6);
  common(bytes, 8, member, name.utf8, wideSize);
  bytes.writeUInt16LE(name.bytes.byteLength, 28);
  bytes.writeUInt16LE(extra, 30);
  bytes.writeUInt32LE(Math.min(member.headerOffset, MAX32), 42);
  bytes.set(name.bytes, ENTRY_BYTES);
  if (extra > 0) zip64Field(bytes, ENTRY_BYTES + name.bytes.byteLength, values);
  return bytes;
}

function zip64End(count: number, size: number, offset: number): Buffer {
  const bytes = Buffer.alloc(76);
  bytes.write('PK\x06\x06', 0, 'latin1');
  bytes.writeBigUInt64LE(44n, 4); // what follows in this record
  bytes.writeUInt16LE(45, 12);
  bytes.writeUInt16LE(45, 14);
  bytes.writeBigUInt64LE(BigInt(count), 24);
  bytes.writeBigUInt64LE(BigInt(count), 32);
  bytes.writeBigUInt64LE(BigInt(size), 40);
  bytes.writeBigUInt64LE(BigInt(offset), 48);
  bytes.write('PK\x06\x07', 56, 'latin1');
  bytes.writeBigUInt64LE(BigInt(offset + size), 64);
  bytes.writeUInt32LE(1, 72); // files of the archive
  return bytes;
}

function end(count: number, size: number, offset: number): Buffer {
  const bytes = Buffer.alloc(22);
  bytes.write('PK\x05\x06', 'latin1');
  bytes.writeUInt16LE(Math.min(count, MAX16), 8);
  bytes.writeUInt16LE(Math.min(count, MAX16), 10);
  bytes.writeUInt32LE(Math.min(size, MAX32), 12);
  bytes.writeUInt32LE(Math.min(offset, MAX32), 16);
  return bytes;
}
