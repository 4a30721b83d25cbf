import { decodeUtf8 } from '../../io/cursor.js';

/** Longest integer that is read, in bytes: far past any real one, and still cheap to convert. */
export const MAX_INT_BYTES = 4096;

/** Two's complement, little-endian (LONG1, LONG4). */
export function littleEndianInt(bytes: Uint8Array): bigint {
  if (bytes.byteLength === 0) return 0n;
  let hex = '';
  for (let i = bytes.byteLength - 1; i >= 0; i--) hex += (bytes[i] ?? 0).toString(16).padStart(2, '0');
  return BigInt.asIntN(bytes.byteLength * 8, BigInt(`0x${hex}`));
}

/** Decimal text of INT and LONG; undefined if it is not an integer. */
export function decimalInt(text: string): bigint | undefined {
  if (text.length > MAX_INT_BYTES * 2 || !/^\s*[+-]?\d+\s*$/.test(text)) return undefined;
  return BigInt(text.trim().replace(/^\+/, ''));
}

/** Decimal text of FLOAT, as Python's repr writes it; undefined if it is not a number. */
export function decimalFloat(text: string): number | undefined {
  if (/^-?inf$/.test(text)) return text.startsWith('-') ? -Infinity : Infinity;
  if (text === 'nan') return Number.NaN;
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : undefined;
}

export const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');

/** The text of a Python 2 `str`: UTF-8 where it is that, else one character a byte. */
export const byteString = (bytes: Uint8Array): string => decodeUtf8(bytes) ?? latin1(bytes);

/**
 * UTF-8 in which Python's `surrogatepass` may have put lone surrogates; undefined if it is not even that.
 */
export function pickleUnicode(bytes: Uint8Array): string | undefined {
  const text = decodeUtf8(bytes);
  if (text !== undefined) return text;
  let out = '';
  let start = 0;
  for (let i = 0; i + 2 < bytes.byteLength; i++) {
    const second = bytes[i + 1] ?? 0;
    const third = bytes[i + 2] ?? 0;
    if (bytes[i] !== 0xed || second < 0xa0 || second > 0xbf || (third & 0xc0) !== 0x80) continue;
    const before = decodeUtf8(bytes.subarray(start, i));
    if (before === undefined) return undefined;
    out += before + String.fromCharCode(0xd000 | ((second & 0x3f) << 6) | (third & 0x3f));
    start = i + 3;
    i += 2;
  }
  const rest = decodeUtf8(bytes.subarray(start));
  return rest === undefined || start === 0 ? undefined : out + rest;
}

const HEX_ESCAPES: ReadonlyMap<string, number> = new Map([
  ['x', 2],
  ['u', 4],
  ['U', 8],
]);
const PLAIN_ESCAPES: ReadonlyMap<string, string> = new Map([
  ['\\', '\\'],
  ["'", "'"],
  ['"', '"'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['a', '\x07'],
  ['b', '\b'],
  ['f', '\f'],
  ['v', '\v'],
]);

/** Undoes Python's backslash escapes; `only` names the escapes that count, the others stay as they are. */
export function unescapePython(text: string, only?: string): string {
  return text.replace(
    /\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{1,3}|.)/gs,
    (all, body: string) => {
      const kind = body[0] ?? '';
      if (only !== undefined && !only.includes(kind)) return all;
      if (/[0-7]/.test(kind)) return String.fromCharCode(Number.parseInt(body, 8) & 0xff);
      const digits = HEX_ESCAPES.get(kind);
      if (digits !== undefined && body.length === digits + 1) {
        const point = Number.parseInt(body.slice(1), 16);
        return point <= 0x10ffff ? String.fromCodePoint(point) : all;
      }
      return PLAIN_ESCAPES.get(kind) ?? all;
    },
  );
}

/** A quoted protocol 0 string (`'text'`); undefined if it has no quotes. */
export function quotedString(line: string): string | undefined {
  const text = line.trim();
  const quote = text[0];
  if (text.length < 2 || (quote !== "'" && quote !== '"') || !text.endsWith(quote)) return undefined;
  const raw = unescapePython(text.slice(1, -1));
  return byteString(Uint8Array.from(raw, (char) => char.charCodeAt(0) & 0xff));
}
