/**
 * Columns that a text takes on a terminal: two for East Asian wide characters and emoji, none for combining marks.
 * Escape sequences of colours take none.
 */
export function textWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const char of text.replace(/\x1b\[[0-9;]*m/g, '')) width += charWidth(char);
  return width;
}

const ZERO = /\p{Mark}|\u200c|\u200d|[\ufe00-\ufe0f]/u;
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
/** Latin letters, arrows, box lines and bars, known to be narrow without the regular expressions (1 ms to compile). */
const isNarrow = (code: number): boolean => code < 0x300 || (code >= 0x2190 && code < 0x2c00);
const charWidth = (char: string): number =>
  isNarrow(char.codePointAt(0) ?? 0) ? 1 : ZERO.test(char) ? 0 : WIDE.test(char) ? 2 : 1;

export const padEnd = (text: string, width: number): string =>
  text + ' '.repeat(Math.max(0, width - textWidth(text)));
export const padStart = (text: string, width: number): string =>
  ' '.repeat(Math.max(0, width - textWidth(text))) + text;

/** At most `width` columns; the middle gives way, because both ends of a tensor name tell something. */
export function fitMiddle(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  if (width < 4) return '…'.slice(0, Math.max(0, width));
  const chars = [...text];
  let [head, tail] = ['', ''];
  let room = width - 1;
  for (let i = 0, j = chars.length - 1; i <= j; ) {
    const fromHead = textWidth(head) <= textWidth(tail);
    const char = (fromHead ? chars[i++] : chars[j--]) ?? '';
    room -= charWidth(char);
    if (room < 0) break;
    if (fromHead) head += char;
    else tail = char + tail;
  }
  return `${head}…${tail}`;
}
