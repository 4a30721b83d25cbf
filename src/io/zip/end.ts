import { type Finding, finding, isMlserError, MlserError, malformed } from '../../errors.js';
import { Cursor } from '../cursor.js';
import type { ByteSource } from '../source.js';

const END_BYTES = 22;
const COMMENT_BYTES = 0xffff;
const LOCATOR_BYTES = 20;
const ZIP64_END_BYTES = 56;
const LOCATOR = 0x07064b50;
const ZIP64_END = 0x06064b50;
const ENTRY = 0x02014b50;

/** Where the central directory lies, from the record(s) at the end of the archive (APPNOTE 4.3.14 to 4.3.16). */
export interface ZipEnd {
  readonly offset: number;
  readonly size: number;
  readonly entries: number;
  readonly findings: readonly Finding[];
}

/** The last bytes of the file, kept so that a small archive's directory needs no second read. */
export interface Tail {
  readonly start: number;
  readonly bytes: Uint8Array;
}

export async function readTail(source: ByteSource): Promise<Tail> {
  const length = Math.min(source.size, END_BYTES + COMMENT_BYTES + LOCATOR_BYTES + ZIP64_END_BYTES);
  const start = source.size - length;
  return { start, bytes: await source.read(start, length) };
}

/** Bytes of the source, out of the tail where it holds them. */
export async function readNear(
  source: ByteSource,
  tail: Tail,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  return offset >= tail.start
    ? tail.bytes.subarray(offset - tail.start, offset - tail.start + length)
    : await source.read(offset, length);
}

/**
 * Finds the end record. It is the one whose comment ends with the file and that points at a directory; two such
 * records (one hidden in the comment of the other) would show different readers different archives: refused.
 */
export async function findEnd(source: ByteSource, tail: Tail): Promise<ZipEnd> {
  const places = endPlaces(tail.bytes);
  const exact = places.filter((place) => place.end === tail.bytes.byteLength);
  const last = places.at(0);
  if (last === undefined)
    throw new MlserError(
      'E_TRUNCATED',
      `${source.name}: the zip directory at the end of the file is missing`,
      {
        details: { file: source.name, size: source.size },
        hint: 'the file looks cut off: download or copy it again',
      },
    );
  const found: ZipEnd[] = [];
  let failure: unknown;
  for (const place of exact.length > 0 ? exact : [last]) {
    try {
      found.push(await resolveEnd(source, tail, place.at));
    } catch (error) {
      if (!isMlserError(error)) throw error;
      failure ??= error;
    }
    if (found.length > 1)
      throw malformed(
        `${source.name} has two zip end records that both point at a directory: which one counts is not defined`,
        { file: source.name },
        'write the archive again without a comment',
      );
  }
  const [end] = found;
  if (end === undefined) throw failure;
  const findings: Finding[] = [];
  const warn = (code: string, message: string): void => {
    findings.push(finding('warning', code, source.name, message));
  };
  if (exact.length === 0 && last.end < tail.bytes.byteLength)
    warn('ZIP_TRAILING_BYTES', `${tail.bytes.byteLength - last.end} bytes follow the end of the zip archive`);
  else if (exact.length === 0) warn('ZIP_COMMENT_CUT', 'the zip comment is longer than the file');
  else if (exact[0] !== last)
    warn(
      'ZIP_END_IN_COMMENT',
      'the zip comment holds an end record; some readers would take it for the real one',
    );
  return { ...end, findings };
}

/** Every place in the tail that looks like an end record, last first, with where its comment would end. */
function endPlaces(tail: Uint8Array): { at: number; end: number }[] {
  const buffer = Buffer.from(tail.buffer, tail.byteOffset, tail.byteLength);
  const places: { at: number; end: number }[] = [];
  for (let at = tail.byteLength - END_BYTES; at >= 0; at--) {
    at = buffer.lastIndexOf('PK\x05\x06', at, 'latin1');
    if (at < 0) break;
    places.push({ at, end: at + END_BYTES + buffer.readUInt16LE(at + 20) });
  }
  return places;
}

async function resolveEnd(source: ByteSource, tail: Tail, at: number): Promise<ZipEnd> {
  const file = source.name;
  const cursor = new Cursor(tail.bytes, file, { at: at + 4, base: tail.start });
  const [disk, directoryDisk, here] = [cursor.u16(), cursor.u16(), cursor.u16()];
  let [entries, size, offset] = [cursor.u16(), cursor.u32(), cursor.u32()];
  if (disk !== 0xffff && directoryDisk !== 0xffff && (disk !== 0 || directoryDisk !== 0 || here !== entries))
    throw multiDisk(file);
  let limit = tail.start + at;
  const wide = await zip64End(source, tail, at);
  if (wide) {
    const agree = (short: number, sentinel: number, long: number, what: string): number => {
      if (short !== sentinel && short !== long)
        throw malformed(`${file}: the zip end records disagree about the ${what}: ${short} and ${long}`, {
          file,
        });
      return long;
    };
    entries = agree(entries, 0xffff, wide.entries, 'number of entries');
    size = agree(size, 0xffffffff, wide.size, 'size of the directory');
    offset = agree(offset, 0xffffffff, wide.offset, 'place of the directory');
    limit = wide.at;
  }
  if (offset + size > limit)
    throw malformed(
      `${file}: the zip directory (bytes ${offset} to ${offset + size}) runs past its end record at byte ${limit}`,
      { file, offset, size, limit },
      'the file was cut or changed after it was written: download or copy it again',
    );
  if (entries > 0) {
    const signature = size < 4 ? 0 : new Cursor(await readNear(source, tail, offset, 4), file).u32();
    if (signature !== ENTRY)
      throw malformed(`${file}: there is no zip directory at byte ${offset}, where the end record puts it`, {
        file,
        offset,
      });
  }
  return { offset, size, entries, findings: [] };
}

const multiDisk = (file: string): MlserError =>
  new MlserError('E_UNSUPPORTED', `${file} is one part of a zip archive split over several files`, {
    details: { file },
    hint: 'join the parts first (zip -s 0)',
  });

async function zip64End(
  source: ByteSource,
  tail: Tail,
  endAt: number,
): Promise<{ at: number; entries: number; size: number; offset: number } | undefined> {
  const file = source.name;
  if (endAt < LOCATOR_BYTES) return undefined;
  const locator = new Cursor(tail.bytes, file, { at: endAt - LOCATOR_BYTES, base: tail.start });
  const locatorAt = locator.offset;
  if (locator.u32() !== LOCATOR) return undefined;
  const disk = locator.u32();
  const at = locator.u64('place of the zip64 end record');
  if (disk !== 0 || locator.u32() > 1) throw multiDisk(file);
  const missing = (): MlserError =>
    malformed(`${file}: there is no zip64 end record at byte ${at}, where its locator puts it`, {
      file,
      offset: at,
    });
  if (at + ZIP64_END_BYTES > locatorAt) throw missing();
  const record = new Cursor(await readNear(source, tail, at, ZIP64_END_BYTES), file, { base: at });
  if (record.u32() !== ZIP64_END) throw missing();
  record.bytes(12); // size of the record, versions
  const disks = [record.u32(), record.u32()];
  const here = record.u64('number of entries');
  const entries = record.u64('number of entries');
  if (disks.some((number) => number !== 0) || here !== entries) throw multiDisk(file);
  return {
    at,
    entries,
    size: record.u64('size of the directory'),
    offset: record.u64('place of the directory'),
  };
}
