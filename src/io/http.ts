import { MlserError } from '../errors.js';
import type { InputFiles } from './files.js';
import { HintedRanges } from './http-hints.js';
import { type FetchOptions, HTTP_DEFAULTS, type Part, requestRange, safeUrl } from './http-request.js';
import { checkRelativeName } from './safe-path.js';
import { type ByteSource, checkRange } from './source.js';

/** Small reads are served from blocks of this size; the first request fetches one. */
export const BLOCK_BYTES = 256 * 1024;
/** Blocks kept per file, the least recently used goes first: 8 MiB. */
const BLOCKS = 32;
/** Largest piece of one request, and how many are under way at once, for large reads. */
const PIECE_BYTES = 4 << 20;
const AT_ONCE = 4;

export interface HttpSource extends ByteSource {
  /** Where the bytes really came from, after redirects. */
  readonly finalUrl: string;
  /** Asks the server whether the file is still the same: E_CHANGED. */
  assertUnchanged(): Promise<void>;
}

/**
 * Opens an http(s) file for reading by position with one range request, which also tells the size.
 *
 * @throws E_NOT_FOUND (404), E_IO (network, 401, 403, 5xx after retries), E_UNSUPPORTED (the server ignores ranges),
 * E_CHANGED if a later answer is about another version of the file (size, ETag or Last-Modified differ).
 */
export async function openHttp(
  url: string,
  name: string,
  options: FetchOptions = HTTP_DEFAULTS,
): Promise<HttpSource> {
  const first = await requestRange(url, name, { start: 0, length: BLOCK_BYTES, probe: true }, options);
  const size = first.total;
  // CDNs sign the address they redirect to for some time: use it while it works, then ask the origin again.
  let direct = first.url;
  const fetchPart = async (start: number, length: number): Promise<Uint8Array> => {
    const want = { start, length, expected: first };
    let part: Part;
    try {
      part = await requestRange(direct, name, want, options);
    } catch (error) {
      if (direct === url || (error instanceof MlserError && error.code === 'E_CHANGED')) throw error;
      part = await requestRange(url, name, want, options);
      direct = part.url;
    }
    return part.bytes;
  };

  const blocks = new Map<number, Promise<Uint8Array>>();
  blocks.set(0, Promise.resolve(first.bytes));
  const block = (index: number): Promise<Uint8Array> => {
    const start = index * BLOCK_BYTES;
    const cached = blocks.get(index) ?? fetchPart(start, Math.min(BLOCK_BYTES, size - start));
    blocks.delete(index);
    blocks.set(index, cached); // now the most recently used
    cached.catch(() => blocks.delete(index)); // a failure is not kept
    for (const [oldest] of blocks) {
      if (blocks.size <= BLOCKS) break;
      blocks.delete(oldest);
    }
    return cached;
  };

  const readLarge = async (offset: number, length: number): Promise<Uint8Array> => {
    const into = new Uint8Array(length);
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let at = next; at < into.byteLength; at = next) {
        next = at + PIECE_BYTES;
        into.set(await fetchPart(offset + at, Math.min(PIECE_BYTES, into.byteLength - at)), at);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    return into;
  };
  const hinted = new HintedRanges(fetchPart);
  const readSmall = async (offset: number, length: number): Promise<Uint8Array> => {
    const known = await hinted.read(offset, length);
    if (known) return known;
    const into = new Uint8Array(length);
    const end = offset + length;
    const from = Math.floor(offset / BLOCK_BYTES);
    const to = Math.floor((end - 1) / BLOCK_BYTES);
    const parts = await Promise.all(Array.from({ length: to - from + 1 }, (_, i) => block(from + i)));
    parts.forEach((bytes, i) => {
      const start = (from + i) * BLOCK_BYTES;
      const wanted = bytes.subarray(Math.max(0, offset - start), Math.max(0, end - start));
      into.set(wanted, Math.max(0, start - offset));
    });
    return into;
  };

  // A stream of equal reads, each where the last one ended: the next few are asked for beforehand.
  const ahead = new Map<number, Promise<Uint8Array>>();
  let last = { end: -1, length: 0 };
  const readStream = async (offset: number, length: number): Promise<Uint8Array> => {
    const streaming = offset === last.end && length === last.length;
    last = { end: offset + length, length };
    if (!streaming) ahead.clear();
    const ready = ahead.get(offset) ?? readLarge(offset, length);
    ahead.delete(offset);
    for (let i = 1; streaming && i < AT_ONCE && offset + (i + 1) * length <= size; i++) {
      const start = offset + i * length;
      if (ahead.has(start)) continue;
      const early = readLarge(start, length);
      early.catch(() => ahead.delete(start)); // it is asked for again when it is wanted
      ahead.set(start, early);
    }
    return ready;
  };

  const source = { name, size };
  return {
    ...source,
    get finalUrl() {
      return direct;
    },
    async read(offset, length) {
      checkRange(source, offset, length);
      if (length > PIECE_BYTES) return readLarge(offset, length);
      if (length > BLOCK_BYTES) return readStream(offset, length);
      return length === 0 ? new Uint8Array(0) : readSmall(offset, length);
    },
    willRead(ranges) {
      // What lies in blocks that are here is not asked for again.
      const here = (at: number): boolean => blocks.has(Math.floor(at / BLOCK_BYTES));
      hinted.announce(
        ranges.filter(({ offset, length }) => length > 0 && !(here(offset) && here(offset + length - 1))),
      );
    },
    async assertUnchanged() {
      // a small file may come whole from a server without ranges
      const length = size > BLOCK_BYTES ? 1 : size;
      if (size > 0) await requestRange(url, name, { start: 0, length, expected: first }, options);
    },
  };
}

/**
 * The family of files around an http(s) address. Siblings are found beside it (with the same query, which may hold
 * a token); the folder cannot be listed.
 *
 * @throws E_USAGE for an address that is none, is not http(s), holds a password, or names no file.
 */
export function httpFiles(address: string, options: FetchOptions = HTTP_DEFAULTS): InputFiles {
  const url = safeUrl(address);
  const folder = new URL('./', url);
  const main = decodeName(url.pathname.slice(url.pathname.lastIndexOf('/') + 1));
  if (main === '')
    throw new MlserError('E_USAGE', `${address} names a folder, not a file`, {
      details: { input: address },
      hint: 'name the file: folders cannot be listed over http',
    });
  const opening = new Map<string, Promise<HttpSource>>();
  const opened: HttpSource[] = [];

  const addressOf = (name: string): string => {
    if (name === main) return url.href;
    checkRelativeName(name);
    const sibling = new URL(name.split('/').map(encodeURIComponent).join('/'), folder);
    sibling.search = url.search;
    if (sibling.origin !== folder.origin || !sibling.pathname.startsWith(folder.pathname))
      throw new MlserError(
        'E_UNSAFE',
        `refused to open ${JSON.stringify(name)}: it leads out of the folder`,
        {
          details: { file: name },
        },
      );
    return sibling.href;
  };
  const open = (name: string): Promise<HttpSource> => {
    let source = opening.get(name);
    if (!source) {
      source = Promise.resolve()
        .then(() => openHttp(addressOf(name), name, options))
        .then((ready) => {
          opened.push(ready);
          return ready;
        });
      opening.set(name, source);
      source.catch(() => opening.delete(name));
    }
    return source;
  };

  return {
    main,
    label: address,
    open,
    async has(name) {
      try {
        await open(name);
        return true;
      } catch (error) {
        if (error instanceof MlserError && (error.code === 'E_NOT_FOUND' || error.code === 'E_UNSAFE'))
          return false;
        throw error;
      }
    },
    list: async () => [],
    opened: () => [...opened],
    async assertUnchanged() {
      for (const source of opened) await source.assertUnchanged();
    },
    async close() {
      opening.clear();
      opened.length = 0;
    },
  };
}

function decodeName(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
