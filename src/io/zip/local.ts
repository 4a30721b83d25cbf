import { type MlserError, malformed } from '../../errors.js';
import type { ByteSource } from '../source.js';
import type { ZipMember } from './directory.js';
import { decodeName } from './names.js';

const LOCAL_BYTES = 30;
const LOCAL = 0x04034b50;
/** Flag bit 3: sizes and CRC follow the data instead (APPNOTE 4.3.9). */
const DESCRIPTOR = 0x8;
/** What is read after the name on the off chance: most extra fields, and the head of the data. */
const GUESS_BYTES = 128;

export interface LocalHeader {
  readonly dataOffset: number;
  /** First bytes of the (compressed) data, as many as were asked for where the member has them. */
  readonly head: Uint8Array;
}

/** What one read takes, to see the local header and `headBytes` of the data. */
export const guessedBytes = ({ name, limit, localHeaderOffset }: ZipMember, headBytes: number): number =>
  Math.min(LOCAL_BYTES + name.length + GUESS_BYTES + headBytes, limit - localHeaderOffset);

/**
 * Reads the local header of a member (APPNOTE 4.3.7) and the first `headBytes` of its data, mostly in one read.
 * The header must say what the directory says: readers that trust one or the other must see the same archive.
 */
export async function readLocalHeader(
  source: ByteSource,
  member: ZipMember,
  headBytes = 0,
): Promise<LocalHeader> {
  const file = source.name;
  const start = member.localHeaderOffset;
  const bad = (why: string): MlserError =>
    malformed(
      `${file}: the local header of zip entry ${JSON.stringify(member.name)} at byte ${start} ${why}`,
      { file, entry: member.name, offset: start },
      'the file was damaged or made to mislead: get it again from its origin',
    );
  const bytes = await source.read(start, guessedBytes(member, headBytes));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== LOCAL) throw bad('is not there');
  const flags = view.getUint16(6, true);
  const nameEnd = LOCAL_BYTES + view.getUint16(26, true);
  const extraEnd = nameEnd + view.getUint16(28, true);
  const dataOffset = start + extraEnd;
  if (dataOffset + member.compressedSize > member.limit)
    throw bad(`leaves ${Math.max(0, member.limit - dataOffset)} bytes for ${member.compressedSize} of data`);
  const all = extraEnd <= bytes.byteLength ? bytes : await source.read(start, extraEnd);
  const name = decodeName(all.subarray(LOCAL_BYTES, nameEnd), (flags & 0x800) !== 0);
  if (name !== member.name) throw bad(`names it ${JSON.stringify(name ?? '(not UTF-8)')}`);
  const method = view.getUint16(8, true);
  if (method !== member.method) throw bad(`gives method ${method}, the directory ${member.method}`);
  if ((flags & 0x2041) !== 0) throw bad('says that it is encrypted, the directory does not');
  if ((flags & DESCRIPTOR) === 0) checkSizes(member, all, nameEnd, extraEnd, bad);
  const wanted = Math.min(headBytes, member.compressedSize);
  const there = all.subarray(extraEnd, extraEnd + wanted);
  return { dataOffset, head: there.byteLength === wanted ? there : await source.read(dataOffset, wanted) };
}

function checkSizes(
  member: ZipMember,
  bytes: Uint8Array,
  nameEnd: number,
  extraEnd: number,
  bad: (why: string) => MlserError,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let [compressed, size] = [BigInt(view.getUint32(18, true)), BigInt(view.getUint32(22, true))];
  for (let at = nameEnd; at + 4 <= extraEnd; at += 4 + view.getUint16(at + 2, true))
    // In a local header the zip64 field holds both sizes, whichever of the two needs it.
    if (view.getUint16(at, true) === 1 && at + 20 <= extraEnd) {
      if (size === 0xffffffffn) size = view.getBigUint64(at + 4, true);
      if (compressed === 0xffffffffn) compressed = view.getBigUint64(at + 12, true);
    }
  if (size !== BigInt(member.size) || compressed !== BigInt(member.compressedSize))
    throw bad(
      `gives ${compressed} bytes for ${size}, the directory ${member.compressedSize} bytes for ${member.size}`,
    );
  const crc = view.getUint32(14, true);
  if (crc !== member.crc32) throw bad('gives another CRC-32 than the directory');
}
