/** Where bytes stop being UTF-8. Only called when they do. */
export function firstWrongUtf8(bytes: Uint8Array): number {
  const valid = (start: number, end: number): boolean => {
    try {
      // stream: a character cut off by `end` is not yet wrong
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(start, end), { stream: true });
      return true;
    } catch {
      return false;
    }
  };
  let start = 0;
  for (let end = 0; end < bytes.length; ) {
    end = Math.min(bytes.length, start + 4096);
    if (!valid(start, end)) {
      let good = start;
      for (let bad = end; bad - good > 1; ) {
        const middle = (good + bad) >> 1;
        if (valid(start, middle)) good = middle;
        else bad = middle;
      }
      return good;
    }
    start = end;
    while (start > 0 && end < bytes.length && ((bytes[start] ?? 0) & 0xc0) === 0x80) start--; // to a character's begin
  }
  return bytes.length; // the last character is cut off
}

/** True for text that has no UTF-8 form: half of a surrogate pair stands alone. */
export const hasLoneSurrogate = (text: string): boolean => /\p{Surrogate}/u.test(text);
