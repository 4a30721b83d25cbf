import { MlserError } from '../errors.js';

/**
 * A file, a buffer, a zip member, a remote object: bytes that can be read at any position.
 * `read` gives exactly `length` bytes or throws E_TRUNCATED; the caller owns the result.
 */
export interface ByteSource {
  /** Name for messages (as the user or the model wrote it). */
  readonly name: string;
  /** Size in bytes, a safe integer. */
  readonly size: number;
  /** Absolute path when the bytes are those of a local file from position 0: workers open it themselves. */
  readonly path?: string;
  /** Set on windows of another source: their first byte is byte `offset` of `source`. */
  readonly origin?: { readonly source: ByteSource; readonly offset: number };
  /** CRC-32 that the container records for all bytes of this source (zip members). Whoever reads them all checks it. */
  readonly crc32?: number;
  /** The bytes lie in no file as they are (inflated members, checked windows): nothing may point at them. */
  readonly derived?: boolean;
  /** Going back means starting again from the front (large inflated members): read forward, in few passes. */
  readonly sequential?: boolean;
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Fills `target` at once, where nothing has to be waited for: for many small reads one after the other. */
  readInto?(offset: number, target: Uint8Array): void;
  /** Small ranges that will be read soon: where a read is a round trip, they are fetched side by side. */
  willRead?(ranges: readonly SourceRange[]): void;
}

export interface SourceRange {
  readonly offset: number;
  readonly length: number;
}

/** Bytes are pulled through the program in pieces of this size; memory is bounded by it, never by the model. */
export const CHUNK_BYTES = 1 << 20;

/** Throws E_TRUNCATED unless [offset, offset + length) lies inside the source. */
export function checkRange(source: Pick<ByteSource, 'name' | 'size'>, offset: number, length: number): void {
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0)
    throw new MlserError('E_MALFORMED', `${source.name}: impossible byte range`, {
      details: { file: source.name, offset, length },
    });
  if (offset + length > source.size)
    throw new MlserError(
      'E_TRUNCATED',
      `${source.name} ends at byte ${source.size}, but bytes ${offset} to ${offset + length} were needed`,
      {
        details: { file: source.name, offset, needed: length, available: Math.max(0, source.size - offset) },
        hint: 'the file looks incomplete: download or copy it again',
      },
    );
}

/** The bytes [start, end) of a source in chunks of at most `chunkBytes`, in order. */
export async function* readChunks(
  source: ByteSource,
  start: number,
  end: number,
  chunkBytes: number = CHUNK_BYTES,
): AsyncGenerator<Uint8Array> {
  checkRange(source, start, end - start);
  for (let at = start; at < end; at += chunkBytes)
    yield await source.read(at, Math.min(chunkBytes, end - at));
}

/** A window of another source, addressed from 0. */
export function sliceSource(
  source: ByteSource,
  offset: number,
  length: number,
  name: string = source.name,
): ByteSource {
  checkRange(source, offset, length);
  const window = { name, size: length };
  return {
    ...window,
    origin: { source, offset },
    async read(at, count) {
      checkRange(window, at, count);
      return source.read(offset + at, count);
    },
  };
}

/** Where byte `offset` of a source lies in the outermost source that it is a window of. */
export function locate(source: ByteSource, offset: number): { source: ByteSource; offset: number } {
  let place = { source, offset };
  for (let from = source.origin; from; from = place.source.origin)
    place = { source: from.source, offset: from.offset + place.offset };
  return place;
}
