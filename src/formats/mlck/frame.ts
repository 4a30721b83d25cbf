import { LIMITS } from '../../core/limits.js';
import { type Finding, finding, MlserError, malformed } from '../../errors.js';
import { crc32 } from '../../io/crc32.js';
import { Cursor } from '../../io/cursor.js';
import { sha256 } from '../../io/hashing.js';
import type { ByteSource } from '../../io/source.js';
import {
  FOOTER_BYTES,
  FORMAT_MAJOR,
  FORMAT_MINOR,
  HEADER_BYTES,
  isDamagedMagic,
  MAGIC,
  unknownFeatures,
} from './layout.js';

/** `KCLM`, the last four bytes of a whole file. */
const END_MAGIC = 0x4d4c434b;
/** Read at once from the end: footer and, mostly, the manifest. */
const TAIL_BYTES = 64 * 1024;

export function encodeHeader(): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(HEADER_BYTES);
  header.set(MAGIC);
  new DataView(header.buffer).setUint16(8, FORMAT_MAJOR, true);
  return header;
}

/** `features`: what readers must know. */
export function encodeFooter(manifestOffset: number, manifest: Uint8Array, features = 0): Uint8Array {
  const footer = new Uint8Array(FOOTER_BYTES);
  const view = new DataView(footer.buffer);
  view.setBigUint64(0, BigInt(manifestOffset), true);
  view.setBigUint64(8, BigInt(manifest.byteLength), true);
  footer.set(sha256(manifest), 16);
  view.setUint16(48, FORMAT_MAJOR, true);
  view.setUint16(50, FORMAT_MINOR, true);
  view.setUint32(52, features, true);
  view.setUint32(56, crc32(footer.subarray(0, 56)), true);
  view.setUint32(60, END_MAGIC, true);
  return footer;
}

export interface Frame {
  readonly minor: number;
  /** Where the data end. */
  readonly manifestOffset: number;
  /** Verified against the footer's SHA-256. */
  readonly manifest: Uint8Array;
  readonly features: number;
  /** Nothing stands in the bytes of the header that mean nothing. */
  readonly plainHeader: boolean;
  readonly findings: readonly Finding[];
}

/** Reads header, footer and manifest: the end of the file, and the start or a long manifest where that is elsewhere. */
export async function readFrame(source: ByteSource): Promise<Frame> {
  const file = source.name;
  const tailAt = Math.max(0, source.size - TAIL_BYTES);
  const tail = await source.read(tailAt, source.size - tailAt);
  const headBytes = Math.min(HEADER_BYTES, source.size);
  const head = tailAt === 0 ? tail.subarray(0, headBytes) : await source.read(0, headBytes);
  checkHeader(head, source);
  if (source.size < HEADER_BYTES + FOOTER_BYTES) throw cutOff(source);

  const footerAt = source.size - FOOTER_BYTES;
  const footer = readFooter(tail.subarray(footerAt - tailAt), source);
  const { offset, length } = footer;
  if (offset < HEADER_BYTES || offset + length > footerAt)
    throw malformed(`${file}: the manifest (${length} bytes at ${offset}) does not lie inside the file`, {
      file,
      offset,
      length,
    });
  if (length > LIMITS.MANIFEST_BYTES)
    throw new MlserError('E_LIMIT', `${file}: a manifest of ${length} bytes passes MANIFEST_BYTES`, {
      details: { file, limit: 'MANIFEST_BYTES', found: length, allowed: LIMITS.MANIFEST_BYTES },
      hint: 'split the model',
    });
  const manifest =
    offset >= tailAt
      ? tail.subarray(offset - tailAt, offset - tailAt + length)
      : await source.read(offset, length);
  if (Buffer.compare(sha256(manifest), footer.sha256) !== 0)
    throw new MlserError('E_INTEGRITY', `${file}: the manifest does not match its SHA-256`, {
      details: { file, part: 'manifest', offset },
      hint: 'the file was damaged after it was written: download or copy it again',
    });
  const { minor, features } = footer;
  const plainHeader = head.subarray(10).every((byte) => byte === 0);
  const findings = newerMinor(minor, file);
  return { minor, features, plainHeader, manifestOffset: offset, manifest, findings };
}

function checkHeader(head: Uint8Array, source: ByteSource): void {
  const file = source.name;
  if (isDamagedMagic(head))
    throw malformed(
      `${file}: no native checkpoint starts like this`,
      { file, offset: 0 },
      'the first bytes are damaged, or the file is of another format',
    );
  if (head.byteLength < HEADER_BYTES) throw cutOff(source);
  checkMajor(new Cursor(head, file, { at: 8 }).u16(), file);
}

interface Footer {
  readonly offset: number;
  readonly length: number;
  readonly sha256: Uint8Array;
  readonly minor: number;
  readonly features: number;
}

function readFooter(bytes: Uint8Array, source: ByteSource): Footer {
  const file = source.name;
  const cursor = new Cursor(bytes, file, { base: source.size - FOOTER_BYTES });
  if (new Cursor(bytes, file, { at: 60 }).u32() !== END_MAGIC) throw cutOff(source);
  if (new Cursor(bytes, file, { at: 56 }).u32() !== crc32(bytes.subarray(0, 56)))
    throw new MlserError('E_INTEGRITY', `${file}: the footer does not match its CRC-32`, {
      details: { file, part: 'footer', offset: source.size - FOOTER_BYTES },
      hint: 'the file was damaged after it was written: download or copy it again',
    });
  const offset = cursor.u64('the offset of the manifest');
  const length = cursor.u64('the length of the manifest');
  const hash = cursor.bytes(32);
  checkMajor(cursor.u16(), file);
  const minor = cursor.u16();
  const features = cursor.u32();
  if (unknownFeatures(features) !== 0)
    throw new MlserError(
      'E_UNSUPPORTED',
      `${file} uses features (0x${features.toString(16)}) that this version cannot read`,
      { details: { file, features }, hint: 'use a newer mlser' },
    );
  return { offset, length, sha256: hash, minor, features };
}

function checkMajor(major: number, file: string): void {
  if (major === FORMAT_MAJOR) return;
  if (major === 0) throw malformed(`${file}: format version 0 was never released`, { file });
  throw new MlserError(
    'E_UNSUPPORTED',
    `${file} has format version ${major}; this mlser reads version ${FORMAT_MAJOR}`,
    {
      details: { file, found: major, needed: `format ${major}`, supported: FORMAT_MAJOR },
      hint: `use a mlser that reads native checkpoints of version ${major}`,
    },
  );
}

const newerMinor = (minor: number, file: string): Finding[] =>
  minor <= FORMAT_MINOR
    ? []
    : [
        finding(
          'info',
          'NEWER_MINOR_VERSION',
          file,
          `written in format ${FORMAT_MAJOR}.${minor}; this mlser knows ${FORMAT_MAJOR}.${FORMAT_MINOR} and passes over what is newer`,
        ),
      ];

const cutOff = (source: ByteSource): MlserError =>
  new MlserError(
    'E_TRUNCATED',
    `${source.name} has no footer at its end (byte ${source.size}): it was cut off, or something was appended`,
    {
      details: { file: source.name, size: source.size },
      hint: 'the file looks incomplete: download or copy it again',
    },
  );
