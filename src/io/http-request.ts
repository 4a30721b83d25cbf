import { MlserError } from '../errors.js';

export interface FetchOptions {
  /** Attempts for answers that may pass: 429, 5xx, broken connections. */
  readonly attempts: number;
  /** Pause before the second attempt; it triples each time. */
  readonly pauseMs: number;
  /** One request may take this long. */
  readonly timeoutMs: number;
}

export const HTTP_DEFAULTS: FetchOptions = { attempts: 4, pauseMs: 300, timeoutMs: 60_000 };

/** What identifies a version of a file on a server. */
export interface Version {
  readonly total: number;
  readonly etag: string | null;
  readonly modified: string | null;
}

export interface Part extends Version {
  /** Address after redirects. */
  readonly url: string;
  readonly bytes: Uint8Array;
}

export interface RangeRequest {
  readonly start: number;
  readonly length: number;
  /** First request: the size is not known, fewer bytes may come. */
  readonly probe?: boolean;
  /** The version that the bytes must be of. */
  readonly expected?: Version;
}

/** Checks an address. @throws E_USAGE */
export function safeUrl(address: string): URL {
  const refuse = (why: string, hint: string): MlserError =>
    new MlserError('E_USAGE', `${address}: ${why}`, { details: { input: address }, hint });
  if (!URL.canParse(address)) throw refuse('is not a valid address', 'check the spelling');
  const url = new URL(address);
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw refuse('only http and https addresses can be read', 'download the file first');
  if (url.username !== '' || url.password !== '') {
    url.username = '';
    url.password = '';
    throw new MlserError('E_USAGE', `${url.href}: addresses with a user name or password are not taken`, {
      details: { input: url.href },
      hint: 'download the file first',
    });
  }
  url.hash = '';
  return url;
}

/** Worth another attempt. */
class Passing extends Error {
  constructor(readonly failure: MlserError) {
    super(failure.message);
  }
}

/** Bytes [start, start + length) of a file, with retries; every header that matters is checked. */
export async function requestRange(
  url: string,
  name: string,
  range: RangeRequest,
  options: FetchOptions,
): Promise<Part> {
  let pause = options.pauseMs;
  for (let attempt = 1; ; attempt++) {
    try {
      return await requestOnce(url, name, range, options);
    } catch (error) {
      if (!(error instanceof Passing)) throw error;
      if (attempt >= options.attempts) throw error.failure;
      await new Promise((resolve) => setTimeout(resolve, pause));
      pause *= 3;
    }
  }
}

async function requestOnce(
  url: string,
  name: string,
  range: RangeRequest,
  options: FetchOptions,
): Promise<Part> {
  const { start, length } = range;
  const signal = AbortSignal.timeout(options.timeoutMs);
  let response: Response;
  try {
    response = await fetch(url, {
      // identity: a compressed answer would have other positions
      headers: { range: `bytes=${start}-${start + length - 1}`, 'accept-encoding': 'identity' },
      signal,
    });
  } catch (error) {
    throw new Passing(broken(name, error));
  }
  try {
    return await readAnswer(response, url, name, range);
  } catch (error) {
    if (error instanceof MlserError || error instanceof Passing) throw error;
    throw new Passing(broken(name, error));
  } finally {
    if (!response.bodyUsed) await response.body?.cancel().catch(() => {});
  }
}

/** The network error under "fetch failed". */
function broken(name: string, error: unknown): MlserError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const text = cause instanceof Error ? cause.message : String(cause);
  return new MlserError('E_IO', `${name}: the connection failed (${text})`, {
    details: { file: name },
    hint: 'check the address and the network',
    cause: error,
  });
}

async function readAnswer(response: Response, url: string, name: string, range: RangeRequest): Promise<Part> {
  const { status, headers } = response;
  if (url.startsWith('https:') && response.url.startsWith('http:'))
    throw new MlserError('E_UNSAFE', `${name}: the server redirects from https to plain http`, {
      details: { file: name },
      hint: 'download the file by hand if you trust the source',
    });
  const version = { etag: headers.get('etag'), modified: headers.get('last-modified') };
  const done = (total: number, bytes: Uint8Array): Part => {
    const part = { ...version, total, url: response.url || url, bytes };
    if (range.expected) checkVersion(name, range.expected, part);
    return part;
  };

  if (status === 416 && range.probe && /^bytes \*\/0$/.test(headers.get('content-range') ?? ''))
    return done(0, new Uint8Array(0));
  if (status === 200) return done(...(await wholeAnswer(response, name, range)));
  if (status !== 206) throw refused(status, name);

  const encoding = headers.get('content-encoding');
  if (encoding !== null && encoding !== 'identity') throw noRanges(name, `it answers with ${encoding} data`);
  const given = headers.get('content-range') ?? '';
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(given);
  const [from, to, total] = (match ?? []).slice(1).map(Number);
  if (from === undefined || to === undefined || total === undefined || !Number.isSafeInteger(total))
    throw noRanges(name, `it answers with the Content-Range ${JSON.stringify(given)}`);
  if (range.expected && total !== range.expected.total)
    throw changed(name, `${range.expected.total} bytes`, `${total} bytes`);
  const length = Math.min(range.length, total - range.start);
  if (from !== range.start || to !== range.start + length - 1)
    throw noRanges(
      name,
      `asked for bytes ${range.start}-${range.start + length - 1} it answers ${from}-${to}`,
    );
  return done(total, await readBody(response, name, length));
}

/** 200 to a range request: the server ignores ranges, or the file is empty or so small that this is all of it. */
async function wholeAnswer(
  response: Response,
  name: string,
  range: RangeRequest,
): Promise<readonly [number, Uint8Array]> {
  const length = Number(response.headers.get('content-length') ?? Number.NaN);
  if (range.start === 0 && length <= range.length) {
    const bytes = await readBody(response, name, length);
    return [length, range.probe ? bytes : bytes.subarray(0, range.length)];
  }
  throw noRanges(name, 'it answers with the whole file');
}

/** Exactly `length` bytes; more are an error and are not read. */
async function readBody(response: Response, name: string, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let at = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
    if (done) break;
    if (at + value.byteLength > length) {
      await reader?.cancel();
      throw noRanges(name, 'it sends more bytes than it announced');
    }
    bytes.set(value, at);
    at += value.byteLength;
  }
  if (at < length)
    throw new Passing(
      new MlserError('E_IO', `${name}: the connection ended ${length - at} bytes early`, {
        details: { file: name, needed: length, available: at },
        hint: 'check the network and try again',
      }),
    );
  return bytes;
}

function checkVersion(name: string, expected: Version, found: Version): void {
  if (expected.total !== found.total) throw changed(name, `${expected.total} bytes`, `${found.total} bytes`);
  // Weak tags may change between equal bytes of mirrors; strong ones and dates may not.
  const strong = expected.etag !== null && found.etag !== null && !/^W\//.test(expected.etag + found.etag);
  if (strong && expected.etag !== found.etag) throw changed(name, `ETag ${expected.etag}`, `${found.etag}`);
  if (
    !strong &&
    expected.modified !== null &&
    found.modified !== null &&
    expected.modified !== found.modified
  )
    throw changed(name, `the version of ${expected.modified}`, found.modified);
}

const changed = (name: string, before: string, now: string): MlserError =>
  new MlserError(
    'E_CHANGED',
    `${name} changed on the server while it was read: ${before} before, ${now} now`,
    {
      details: { file: name },
      hint: 'wait until the upload has finished and try again',
    },
  );

const noRanges = (name: string, why: string): MlserError =>
  new MlserError('E_UNSUPPORTED', `${name}: the server does not serve byte ranges: ${why}`, {
    details: { file: name },
    hint: 'download the file and name the copy',
  });

function refused(status: number, name: string): MlserError | Passing {
  const details = { file: name, status };
  if (status === 404 || status === 410)
    return new MlserError('E_NOT_FOUND', `${name}: the server has no such file (HTTP ${status})`, {
      details,
      hint: 'check the address',
    });
  if (status === 401 || status === 403)
    return new MlserError('E_IO', `${name}: the server refuses access (HTTP ${status})`, {
      details,
      hint: 'the file may need a login or an accepted licence: download it by hand',
    });
  const error = new MlserError('E_IO', `${name}: the server answered HTTP ${status}`, {
    details,
    hint: 'try again later',
  });
  return status === 429 || status >= 500 ? new Passing(error) : error;
}
