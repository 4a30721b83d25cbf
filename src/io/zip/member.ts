import { isMlserError, MlserError, malformed } from '../../errors.js';
import { crc32, crcMismatch } from '../crc32.js';
import { memorySource } from '../memory.js';
import { type ByteSource, CHUNK_BYTES, checkRange, readChunks, sliceSource } from '../source.js';
import { DEFLATED, type ZipDirectory, type ZipMember } from './directory.js';

/** Loaded when a member is inflated: node:zlib and the streams take milliseconds, and most archives are stored. */
let loading: Promise<typeof import('./inflate.js')> | undefined;
const inflation = (): Promise<typeof import('./inflate.js')> => {
  loading ??= import('./inflate.js');
  return loading;
};

/** Members up to this size are inflated in one call, and one of them at a time is kept for random access. */
const SMALL_BYTES = 8 * 1024 * 1024;

const partName = (zip: ZipDirectory, member: ZipMember): string =>
  `${zip.source.name}: zip entry ${JSON.stringify(member.name)}`;

/**
 * The bytes of a stored member as a window of the archive: `origin` says where they lie, `crc32` what they must sum
 * up to. E_UNSUPPORTED for deflated members, which have no bytes to point at (see inflateMember, inflatedSource).
 */
export async function memberSource(zip: ZipDirectory, member: ZipMember): Promise<ByteSource> {
  if (member.method === DEFLATED)
    throw new MlserError(
      'E_UNSUPPORTED',
      `${partName(zip, member)} is compressed and cannot be read by position`,
      {
        details: { file: zip.source.name, entry: member.name },
      },
    );
  const offset = await member.dataOffset();
  const label = `${zip.source.name}[${member.name}]`;
  return { ...sliceSource(zip.source, offset, member.size, label), crc32: member.crc32 };
}

/**
 * The inflated bytes of a deflated member from `start` on, in order, in chunks of at most CHUNK_BYTES; each call
 * starts again. Memory is bounded by a few chunks. When the consumer pulls to the end, size and CRC-32 are checked.
 * Errors: E_MALFORMED (not a deflate stream, wrong size), E_INTEGRITY.
 */
export async function* inflateMember(
  zip: ZipDirectory,
  member: ZipMember,
  start = 0,
): AsyncGenerator<Uint8Array> {
  let crc = 0;
  let size = 0;
  for await (const chunk of inflated(zip, member)) {
    crc = crc32(chunk, crc);
    const skip = Math.max(0, start - size);
    size += chunk.byteLength;
    if (size > member.size) throw wrongSize(zip, member, `more than ${member.size}`);
    if (skip < chunk.byteLength) yield skip === 0 ? chunk : chunk.subarray(skip);
  }
  if (size !== member.size) throw wrongSize(zip, member, String(size));
  if (crc !== member.crc32) throw mismatch(zip, member, crc);
}

const mismatch = (zip: ZipDirectory, member: ZipMember, found: number): MlserError =>
  crcMismatch(`zip entry ${JSON.stringify(member.name)}`, zip.source.name, member.crc32, found);

const wrongSize = (zip: ZipDirectory, member: ZipMember, found: string): MlserError =>
  malformed(`${partName(zip, member)} inflates to ${found} bytes, the directory says ${member.size}`, {
    file: zip.source.name,
    entry: member.name,
    needed: member.size,
  });

const notDeflate = (zip: ZipDirectory, member: ZipMember, cause: unknown): MlserError => {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new MlserError('E_MALFORMED', `${partName(zip, member)} cannot be inflated: ${why}`, {
    details: { file: zip.source.name, entry: member.name },
    hint: 'the file was damaged after it was written: download or copy it again',
    cause,
  });
};

async function* inflated(zip: ZipDirectory, member: ZipMember): AsyncGenerator<Uint8Array> {
  const offset = await member.dataOffset();
  const end = offset + member.compressedSize;
  if (member.size <= CHUNK_BYTES && member.compressedSize <= CHUNK_BYTES) {
    const packed = await zip.source.read(offset, member.compressedSize);
    yield await inflateSmall(zip, member, packed);
    return;
  }
  try {
    yield* (await inflation()).inflateStream(readChunks(zip.source, offset, end));
  } catch (error) {
    throw isMlserError(error) ? error : notDeflate(zip, member, error);
  }
}

async function inflateSmall(zip: ZipDirectory, member: ZipMember, packed: Uint8Array): Promise<Uint8Array> {
  const { inflateAll } = await inflation();
  try {
    return inflateAll(packed, member.size + 1);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw code === 'ERR_BUFFER_TOO_LARGE'
      ? wrongSize(zip, member, `more than ${member.size}`)
      : notDeflate(zip, member, error);
  }
}

/** Packed bytes that are inflated to see the first bytes of a member: at most 2 MiB come out. */
const HEAD_PACKED_BYTES = 2048;

/** The first `length` bytes of a member (fewer if it is shorter), without reading much more. Not checked by its CRC. */
export async function memberHead(zip: ZipDirectory, member: ZipMember, length: number): Promise<Uint8Array> {
  if (member.method !== DEFLATED) return member.head(length);
  const packed = await member.head(HEAD_PACKED_BYTES);
  const { inflateStart } = await inflation();
  let start: Uint8Array;
  try {
    start = inflateStart(packed);
  } catch (error) {
    throw notDeflate(zip, member, error);
  }
  const wanted = Math.min(length, member.size);
  if (start.byteLength >= wanted) return start.subarray(0, wanted);
  const head = new Uint8Array(wanted);
  let at = 0;
  for await (const chunk of inflateMember(zip, member)) {
    head.set(chunk.subarray(0, wanted - at), at);
    at = Math.min(wanted, at + chunk.byteLength);
    if (at === wanted) break;
  }
  return head;
}

/** All bytes of a small member, stored or deflated, with size and CRC-32 checked. The caller has bounded `member.size`. */
export async function readMember(zip: ZipDirectory, member: ZipMember): Promise<Uint8Array> {
  if (member.method !== DEFLATED) {
    const bytes = await zip.source.read(await member.dataOffset(), member.size);
    const crc = crc32(bytes);
    if (crc !== member.crc32) throw mismatch(zip, member, crc);
    return bytes;
  }
  const bytes = new Uint8Array(member.size);
  let at = 0;
  for await (const chunk of inflateMember(zip, member)) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}

/** The last small member that was inflated for random access, one an archive. */
const kept = new WeakMap<ZipDirectory, { member: ZipMember; bytes: Uint8Array }>();

/**
 * A deflated member as a source for random access (strided views, headers). Small members are inflated at once;
 * larger ones are inflated forward as reads advance, and again from the start when a read goes back, so memory stays
 * bounded. The CRC-32 is checked when the end is reached.
 */
export function inflatedSource(zip: ZipDirectory, member: ZipMember): ByteSource {
  const window = { name: `${zip.source.name}[${member.name}]`, size: member.size, derived: true };
  if (member.size <= SMALL_BYTES)
    return {
      ...window,
      async read(offset, length) {
        let small = kept.get(zip);
        if (small?.member !== member) {
          small = { member, bytes: await readMember(zip, member) };
          kept.set(zip, small);
        }
        const bytes = await memorySource(small.bytes, window.name).read(offset, length);
        return bytes.slice();
      },
    };
  const cursor = new InflateCursor(zip, member);
  return {
    ...window,
    sequential: true,
    async read(offset, length) {
      checkRange(window, offset, length);
      return cursor.read(offset, length);
    },
  };
}

/** Reads forward through an inflated member; going back starts it again. One read at a time. */
class InflateCursor {
  #chunks: AsyncGenerator<Uint8Array> | undefined;
  #chunk: Uint8Array = new Uint8Array(0);
  /** Position of the first byte of the current chunk. */
  #at = 0;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(
    readonly zip: ZipDirectory,
    readonly member: ZipMember,
  ) {}

  read(offset: number, length: number): Promise<Uint8Array> {
    const turn = this.#queue.then(() => this.#read(offset, length));
    this.#queue = turn.catch(() => {});
    return turn;
  }

  async #read(offset: number, length: number): Promise<Uint8Array> {
    const out = new Uint8Array(length);
    if (this.#chunks === undefined || offset < this.#at) {
      await this.#chunks?.return(undefined);
      this.#chunks = inflateMember(this.zip, this.member);
      this.#chunk = new Uint8Array(0);
      this.#at = 0;
    }
    for (let done = 0; done < length; ) {
      const from = offset + done - this.#at;
      if (from < this.#chunk.byteLength) {
        const piece = this.#chunk.subarray(from, from + length - done);
        out.set(piece, done);
        done += piece.byteLength;
      } else await this.#advance(this.#chunks);
    }
    // Only the end of the stream tells whether all of it was sound.
    if (length > 0 && offset + length === this.member.size) await this.#advance(this.#chunks);
    return out;
  }

  async #advance(chunks: AsyncGenerator<Uint8Array>): Promise<void> {
    const next = await chunks.next();
    if (next.done) this.#chunks = undefined;
    this.#at += this.#chunk.byteLength;
    this.#chunk = next.done ? new Uint8Array(0) : next.value;
  }
}
