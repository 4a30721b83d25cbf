import { type Finding, MlserError, malformed } from '../../errors.js';
import { safeNumber } from '../cursor.js';
import type { ByteSource } from '../source.js';
import { HeadersAhead } from './ahead.js';
import { findEnd, readNear, readTail, type ZipEnd } from './end.js';
import { ZIP_LIMITS } from './limits.js';
import { readLocalHeader } from './local.js';
import { decodeName } from './names.js';

export { inflatedSource, inflateMember, memberHead, memberSource, readMember } from './member.js';

const ENTRY_BYTES = 46;
const ENTRY = 0x02014b50;
export const STORED = 0;
export const DEFLATED = 8;

const METHODS = new Map([
  [1, 'Shrink'],
  [6, 'Implode'],
  [9, 'Deflate64'],
  [12, 'bzip2'],
  [14, 'LZMA'],
  [93, 'Zstandard'],
  [95, 'XZ'],
  [98, 'PPMd'],
  [99, 'AES encryption'],
]);

/** An entry of the central directory. Sizes are the directory's, which are the only ones that are always there. */
export interface ZipMember {
  /** As stored; data, never a path. Ends with a slash for folders. */
  readonly name: string;
  readonly method: typeof STORED | typeof DEFLATED;
  readonly flags: number;
  readonly crc32: number;
  readonly compressedSize: number;
  readonly size: number;
  readonly localHeaderOffset: number;
  /** Where the next member or the directory begins: the data ends before it. */
  readonly limit: number;
  /** Reads and checks the local header. E_MALFORMED if it is not there or says something else than the directory. */
  dataOffset(): Promise<number>;
  /** The first `length` bytes of the data as they are stored (fewer if it is shorter), mostly in the same read. */
  head(length: number): Promise<Uint8Array>;
}

export interface ZipDirectory {
  /** The archive. */
  readonly source: ByteSource;
  /** In directory order; names are unique, members do not overlap and lie inside the file. */
  readonly members: readonly ZipMember[];
  readonly findings: readonly Finding[];
}

class Member implements ZipMember {
  #dataOffset: Promise<number> | undefined;
  limit = 0;
  ahead: HeadersAhead | undefined;

  constructor(
    readonly source: ByteSource,
    readonly name: string,
    readonly method: typeof STORED | typeof DEFLATED,
    readonly flags: number,
    readonly crc32: number,
    readonly compressedSize: number,
    readonly size: number,
    readonly localHeaderOffset: number,
    /** Bytes of the encoded name. */
    readonly nameBytes: number,
  ) {}

  dataOffset(): Promise<number> {
    if (this.#dataOffset === undefined) {
      this.ahead?.reading(this, 0);
      this.#dataOffset = readLocalHeader(this.source, this).then((header) => header.dataOffset);
    }
    return this.#dataOffset;
  }

  async head(length: number): Promise<Uint8Array> {
    this.ahead?.reading(this, length);
    const header = await readLocalHeader(this.source, this, length);
    this.#dataOffset ??= Promise.resolve(header.dataOffset);
    return header.head;
  }
}

/**
 * Reads the central directory of a zip archive (APPNOTE 6.3.10) by ranges; member data is not touched.
 * Errors: E_TRUNCATED (no end record), E_MALFORMED, E_LIMIT (ZIP_MEMBERS, ZIP_DIRECTORY_BYTES, INFLATE_RATIO),
 * E_UNSUPPORTED (encrypted, split over files, a method other than stored and deflated).
 */
export async function readZipDirectory(source: ByteSource): Promise<ZipDirectory> {
  const tail = await readTail(source);
  const end = await findEnd(source, tail);
  checkLimits(source.name, end);
  const members = parseEntries(source, end, await readNear(source, tail, end.offset, end.size));
  refuseTwins(source.name, members);
  const inOrder = setLimits(source.name, members, end.offset);
  const ahead = source.willRead && new HeadersAhead(source, inOrder);
  for (const member of members) member.ahead = ahead;
  return { source, members, findings: end.findings };
}

function checkLimits(file: string, end: ZipEnd): void {
  const over = (limit: keyof typeof ZIP_LIMITS, value: number, what: string): MlserError =>
    new MlserError(
      'E_LIMIT',
      `${file}: the zip archive has ${value} ${what}; ${limit} is ${ZIP_LIMITS[limit]}`,
      {
        details: { file, limit, value, maximum: ZIP_LIMITS[limit] },
      },
    );
  if (end.entries > ZIP_LIMITS.ZIP_MEMBERS) throw over('ZIP_MEMBERS', end.entries, 'entries');
  if (end.size > ZIP_LIMITS.ZIP_DIRECTORY_BYTES)
    throw over('ZIP_DIRECTORY_BYTES', end.size, 'bytes of directory');
  if (end.entries * ENTRY_BYTES > end.size)
    throw malformed(`${file}: ${end.entries} zip entries do not fit a directory of ${end.size} bytes`, {
      file,
      offset: end.offset,
    });
}

function parseEntries(source: ByteSource, end: ZipEnd, bytes: Uint8Array): Member[] {
  const file = source.name;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const members: Member[] = [];
  let at = 0;
  for (let index = 0; index < end.entries; index++) {
    const bad = (why: string): MlserError =>
      malformed(
        `${file}: zip directory entry ${index + 1} of ${end.entries} at byte ${end.offset + at} ${why}`,
        { file, offset: end.offset + at, entry: index },
        'the file was damaged or written by a broken tool: write or copy it again',
      );
    if (at + ENTRY_BYTES > bytes.byteLength) throw bad('runs past the end of the directory');
    if (view.getUint32(at, true) !== ENTRY) throw bad('has no entry signature');
    const nameLength = view.getUint16(at + 28, true);
    const extraAt = at + ENTRY_BYTES + nameLength;
    const extraEnd = extraAt + view.getUint16(at + 30, true);
    const next = extraEnd + view.getUint16(at + 32, true);
    if (next > bytes.byteLength) throw bad('runs past the end of the directory');
    members.push(parseEntry(source, bytes, view, at, extraAt, extraEnd, bad));
    at = next;
  }
  // Only a digital signature (APPNOTE 4.3.13) may follow; another entry would be seen by some readers and not by others.
  if (at + 4 <= bytes.byteLength && view.getUint32(at, true) === ENTRY)
    throw malformed(`${file}: the zip directory holds more entries than the ${end.entries} it declares`, {
      file,
      offset: end.offset + at,
    });
  return members;
}

function parseEntry(
  source: ByteSource,
  bytes: Uint8Array,
  view: DataView,
  at: number,
  extraAt: number,
  extraEnd: number,
  bad: (why: string) => MlserError,
): Member {
  const file = source.name;
  const flags = view.getUint16(at + 8, true);
  const method = view.getUint16(at + 10, true);
  const nameBytes = bytes.subarray(at + ENTRY_BYTES, extraAt);
  const name = decodeName(nameBytes, (flags & 0x800) !== 0);
  if (name === undefined) throw bad('has a name that is not UTF-8, although it says so');
  if (name.includes('\0'))
    throw bad(`has a NUL character in its name ${JSON.stringify(name)}, where some readers would cut it`);
  const sizes = {
    size: view.getUint32(at + 24, true),
    compressedSize: view.getUint32(at + 20, true),
    offset: view.getUint32(at + 42, true),
  };
  const disk = view.getUint16(at + 34, true);
  const quoted = JSON.stringify(name);
  const { size, compressedSize, offset } = widen(
    sizes,
    view,
    extraAt,
    extraEnd,
    `${file}: entry ${quoted}`,
    bad,
  );
  const unsupported = (why: string, hint: string): MlserError =>
    new MlserError('E_UNSUPPORTED', `${file}: zip entry ${quoted} ${why}`, {
      details: { file, entry: name, method },
      hint,
    });
  if (disk !== 0 && disk !== 0xffff)
    throw unsupported('lies in another file of a split archive', 'join the parts first');
  if ((flags & 0x2041) !== 0) throw unsupported('is encrypted', 'decrypt the archive first');
  if ((flags & 0x20) !== 0) throw unsupported('is patch data', 'write the archive again');
  if (method !== STORED && method !== DEFLATED)
    throw unsupported(
      `is compressed with method ${method} (${METHODS.get(method) ?? 'unknown'}); 0 (stored) and 8 (deflate) can be read`,
      'write the archive again, stored or deflated',
    );
  if (method === STORED && size !== compressedSize)
    throw bad(`(${quoted}) is stored with ${compressedSize} bytes but declares a size of ${size}`);
  if (method === DEFLATED && size > compressedSize * ZIP_LIMITS.INFLATE_RATIO)
    throw new MlserError(
      'E_LIMIT',
      `${file}: zip entry ${quoted} declares ${size} bytes out of ${compressedSize}; INFLATE_RATIO is ${ZIP_LIMITS.INFLATE_RATIO}`,
      { details: { file, entry: name, limit: 'INFLATE_RATIO', maximum: ZIP_LIMITS.INFLATE_RATIO } },
    );
  const crc = view.getUint32(at + 16, true);
  return new Member(source, name, method, flags, crc, compressedSize, size, offset, nameBytes.byteLength);
}

interface Sizes {
  size: number;
  compressedSize: number;
  offset: number;
}

/** Replaces 0xffffffff by the 64-bit values of the zip64 extra field, which holds just those, in this order (4.5.3). */
function widen(
  sizes: Sizes,
  view: DataView,
  from: number,
  end: number,
  what: string,
  bad: (why: string) => MlserError,
): Sizes {
  const keys = (['size', 'compressedSize', 'offset'] as const).filter((key) => sizes[key] === 0xffffffff);
  if (keys.length === 0) return sizes;
  for (let at = from; at + 4 <= end; ) {
    const length = view.getUint16(at + 2, true);
    const stop = at + 4 + length;
    if (stop > end) throw bad('has an extra field that is longer than the entry');
    if (view.getUint16(at, true) === 1) {
      if (length < keys.length * 8) throw bad('has a zip64 extra field that is too short');
      const wide = { ...sizes };
      for (const [i, key] of keys.entries())
        wide[key] = safeNumber(view.getBigUint64(at + 4 + i * 8, true), `${what}: ${key}`);
      return wide;
    }
    at = stop;
  }
  throw bad('has no zip64 extra field, although its sizes need one');
}

function refuseTwins(file: string, members: readonly Member[]): void {
  const names = new Set<string>();
  for (const { name } of members) {
    if (names.has(name))
      throw malformed(
        `${file}: entry ${JSON.stringify(name)} is twice in the zip: which one counts is not defined`,
        { file, entry: name },
        'write the archive again with one of them',
      );
    names.add(name);
  }
}

/** Members, in the order that is returned, must lie one after another before the directory: shared bytes are the trick of zip bombs. */
function setLimits(file: string, members: readonly Member[], directory: number): readonly Member[] {
  const sorted = [...members].sort((a, b) => a.localHeaderOffset - b.localHeaderOffset);
  for (const [index, member] of sorted.entries()) {
    const following = sorted[index + 1];
    member.limit = Math.min(following?.localHeaderOffset ?? directory, directory);
    const least = member.localHeaderOffset + 30 + member.nameBytes + member.compressedSize;
    if (least <= member.limit) continue;
    const overlap = following !== undefined && member.limit === following.localHeaderOffset;
    throw malformed(
      `${file}: zip entry ${JSON.stringify(member.name)} needs bytes ${member.localHeaderOffset} to ${least}, but ` +
        (overlap
          ? `entry ${JSON.stringify(following.name)} begins at byte ${member.limit}: entries overlap`
          : `the data ends at byte ${member.limit}`),
      { file, entry: member.name, offset: member.localHeaderOffset, needed: least, available: member.limit },
      'the file was cut, damaged or made to mislead: get it again from its origin',
    );
  }
  return sorted;
}
