/**
 * Text that came out of a file (names, metadata, messages that quote them) must not steer the terminal:
 * C0 and C1 controls, DEL, the bidirectional controls and line separators are shown as escapes.
 */
const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]/gu;
const SHORT = new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
]);

const escapeUnit = (unit: string): string => {
  const short = SHORT.get(unit);
  if (short !== undefined) return short;
  const code = unit.charCodeAt(0);
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : jsonEscape(unit);
};

const jsonEscape = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** One line of plain text: nothing in it moves the cursor, changes colours or reorders characters. */
export const safe = (text: string): string => text.replace(UNSAFE, escapeUnit);

/** As `safe`, but line ends and tabs stay: for text that is meant to have several lines. */
export const safeLines = (text: string): string =>
  text.replace(UNSAFE, (unit) => (unit === '\n' || unit === '\t' ? unit : escapeUnit(unit)));

/** JSON text with the characters that JSON itself lets through written as \uXXXX: the same document, safe to print. */
export const safeJson = (json: string): string =>
  json.replace(/[\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, jsonEscape);

/** At most `limit` characters, with a mark where the rest was cut off. */
export const shorten = (text: string, limit: number): string => {
  if (text.length <= limit) return text;
  const points = [...text.slice(0, 2 * limit + 2)];
  return points.length <= limit ? text : `${points.slice(0, Math.max(1, limit - 1)).join('')}…`;
};

const HTML = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ['"', '&quot;'],
  ["'", '&#39;'],
]);

/** Text for HTML content and quoted attributes. */
export const html = (text: string): string => safe(text).replace(/[&<>"']/g, (c) => HTML.get(c) ?? c);

const ASCII = new Map([
  ['→', '->'],
  ['×', 'x'],
  ['·', '-'],
  ['–', '-'],
  ['…', '~'],
]);

/** The signs that our own text uses, for terminals that show ASCII only. */
export const ascii = (text: string): string => text.replace(/[→×·–…]/g, (sign) => ASCII.get(sign) ?? sign);
