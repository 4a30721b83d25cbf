import { isUtf8 } from 'node:buffer';
import { MlserError, malformed } from '../errors.js';
import { firstWrongUtf8, hasLoneSurrogate } from './utf8.js';

/** A JSON document as data: objects are Maps in file order, integers past 2^53 are bigints. */
export type JsonTree =
  | string
  | number
  | bigint
  | boolean
  | null
  | readonly JsonTree[]
  | ReadonlyMap<string, JsonTree>;

export type JsonKind = 'object' | 'array' | 'string' | 'number' | 'true' | 'false' | 'null';

/** Nesting of JSON documents read from model files (LIMITS.JSON_DEPTH, which lies in a layer above this one). */
export const JSON_DEPTH = 128;
/** Digits of one number: more cannot mean anything in a model file, and would make conversions slow. */
export const JSON_NUMBER_CHARACTERS = 1_000;

/** Kinds as a sentence has them. */
export const KIND_TEXT: Readonly<Record<JsonKind, string>> = {
  object: 'an object',
  array: 'an array',
  string: 'a string',
  number: 'a number',
  true: 'true',
  false: 'false',
  null: 'null',
};

export interface JsonOptions {
  /** What the document is, for messages: `header`, `index`. */
  readonly what?: string;
  /** Added to positions in messages: where the bytes lie in the file. */
  readonly base?: number;
  /** What an entry is called in messages: `tensor`. */
  readonly entry?: string;
}

const SHORT_CHARACTERS = 16;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const ZERO = 0x30;
const NINE = 0x39;
const MINUS = 0x2d;
const COMMA = 0x2c;
const COLON = 0x3a;

/**
 * A strict JSON reader (RFC 8259) over UTF-8 bytes that the caller drives value by value, so that a header of a
 * million entries needs no tree. Stricter than JSON.parse where a model must not be guessed at: UTF-8 is checked,
 * a byte order mark and lone surrogates are refused, integers keep their exact value and are told from `24.0`,
 * keys come in file order, nesting is bounded. Every failure is E_MALFORMED (or E_LIMIT) with file and byte.
 */
export class JsonReader {
  readonly #bytes: Buffer;
  readonly #name: string;
  readonly #what: string;
  readonly #base: number;
  readonly #entry: string;
  /** Short strings seen last, by a hash of length, first and last character. */
  readonly #short: string[] = new Array<string>(64).fill('');
  #at = 0;
  #depth = 0;
  /** The entry being read, for messages: set by the caller as it goes. */
  subject: string | undefined;

  constructor(bytes: Uint8Array, name: string, options: JsonOptions = {}) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#name = name;
    this.#what = options.what ?? 'JSON';
    this.#base = options.base ?? 0;
    this.#entry = options.entry ?? 'entry';
    if (!isUtf8(bytes)) {
      this.#at = firstWrongUtf8(bytes);
      throw this.fail('is not valid UTF-8', 'the text was damaged or is in another encoding');
    }
    if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf)
      throw this.fail('begins with a byte order mark', 'save the text as UTF-8 without BOM');
  }

  /** Position of the next byte in the document. */
  get at(): number {
    return this.#at;
  }

  /** An E_MALFORMED that says where the reader stands. */
  fail(problem: string, hint?: string): MlserError {
    const { subject } = this;
    const about = subject === undefined ? '' : ` (${this.#entry} ${JSON.stringify(subject)})`;
    return malformed(
      `${this.#name}: the ${this.#what} ${problem}, at byte ${this.#base + this.#at}${about}`,
      {
        file: this.#name,
        offset: this.#base + this.#at,
        ...(subject === undefined ? {} : { tensor: subject }),
      },
      hint,
    );
  }

  #expected(needed: string): MlserError {
    if (this.#at >= this.#bytes.length) return this.fail(`ends where ${needed} was needed`);
    const end = Math.min(this.#bytes.length, this.#at + 24);
    const found = this.#bytes.toString('utf8', this.#at, end).replace(/\ufffd+$/, '');
    return this.fail(`has ${JSON.stringify(found)} where ${needed} was needed`);
  }

  /** Skips white space; the byte after it, -1 at the end. */
  #peek(): number {
    const bytes = this.#bytes;
    let at = this.#at;
    let byte = bytes[at];
    while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) byte = bytes[++at];
    this.#at = at;
    return byte ?? -1;
  }

  /** What the next value is. */
  kind(): JsonKind {
    const byte = this.#peek();
    if (byte === QUOTE) return 'string';
    if (byte === 0x7b) return 'object';
    if (byte === 0x5b) return 'array';
    if (byte === MINUS || (byte >= ZERO && byte <= NINE)) return 'number';
    if (byte === 0x74) return 'true';
    if (byte === 0x66) return 'false';
    if (byte === 0x6e) return 'null';
    throw this.#expected('a value');
  }

  #enter(): void {
    this.#at++;
    if (++this.#depth > JSON_DEPTH)
      throw new MlserError(
        'E_LIMIT',
        `${this.#name}: the ${this.#what} is nested deeper than ${JSON_DEPTH} (limit JSON_DEPTH)`,
        { details: { file: this.#name, offset: this.#base + this.#at, limit: 'JSON_DEPTH' } },
      );
  }

  /** Reads an object; `entry` is called with each key and must consume its value. Duplicates are the caller's. */
  object(entry: (key: string) => void): void {
    if (this.#peek() !== 0x7b) throw this.#expected('an object');
    this.#enter();
    if (this.#peek() === 0x7d) this.#at++;
    else
      for (;;) {
        if (this.#peek() !== QUOTE) throw this.#expected('a key in double quotes');
        const key = this.string();
        if (this.#peek() !== COLON) throw this.#expected('":"');
        this.#at++;
        entry(key);
        const next = this.#peek();
        if (next !== COMMA && next !== 0x7d) throw this.#expected('"," or "}"');
        this.#at++;
        if (next === 0x7d) break;
      }
    this.#depth--;
  }

  /** Reads an array; `item` is called before each element and must consume it. */
  array(item: () => void): void {
    if (this.#peek() !== 0x5b) throw this.#expected('an array');
    this.#enter();
    if (this.#peek() === 0x5d) this.#at++;
    else
      for (;;) {
        item();
        const next = this.#peek();
        if (next !== COMMA && next !== 0x5d) throw this.#expected('"," or "]"');
        this.#at++;
        if (next === 0x5d) break;
      }
    this.#depth--;
  }

  string(): string {
    if (this.#peek() !== QUOTE) throw this.#expected('a string');
    const bytes = this.#bytes;
    const start = this.#at + 1;
    let at = start;
    let ascii = true;
    for (;;) {
      const byte = bytes[at];
      if (byte === QUOTE) break;
      if (byte === BACKSLASH) return this.#escaped(start);
      if (byte === undefined || byte < 0x20) {
        this.#at = at;
        throw this.fail(byte === undefined ? 'ends inside a string' : 'has a control character in a string');
      }
      if (byte >= 0x80) ascii = false;
      at++;
    }
    this.#at = at + 1;
    if (!ascii) return bytes.toString('utf8', start, at);
    return at - start <= SHORT_CHARACTERS ? this.#shortText(start, at) : bytes.toString('latin1', start, at);
  }

  /** Field names and types come again and again: comparing is cheaper than making a string. */
  #shortText(start: number, end: number): string {
    const bytes = this.#bytes;
    const slot = (end - start + 3 * (bytes[start] ?? 0) + 5 * (bytes[end - 1] ?? 0)) & 63;
    const known = this.#short[slot];
    if (known !== undefined && known.length === end - start) {
      let at = 0;
      while (at < known.length && known.charCodeAt(at) === bytes[start + at]) at++;
      if (at === known.length) return known;
    }
    const text = bytes.toString('latin1', start, end);
    this.#short[slot] = text;
    return text;
  }

  /** The slow path: a string with escapes. The native parser decodes it once its end is known. */
  #escaped(start: number): string {
    const bytes = this.#bytes;
    let at = start;
    for (; bytes[at] !== QUOTE; at++) {
      if (bytes[at] === BACKSLASH) at++;
      if (at >= bytes.length) {
        this.#at = at;
        throw this.fail('ends inside a string');
      }
    }
    this.#at = start;
    let text: unknown;
    try {
      text = JSON.parse(bytes.toString('utf8', start - 1, at + 1));
    } catch {
      throw this.fail('has a string with a wrong escape or a control character');
    }
    if (typeof text !== 'string') throw this.fail('has a malformed string');
    if (hasLoneSurrogate(text))
      throw this.fail('has half of a surrogate pair in a string, which is not a Unicode character');
    this.#at = at + 1;
    return text;
  }

  /** The text of the next number, checked against the grammar. */
  #number(): { readonly text: string; readonly integer: boolean } {
    this.#peek();
    const bytes = this.#bytes;
    const start = this.#at;
    let at = start;
    const digits = (): void => {
      const first = at;
      for (let byte = bytes[at]; byte !== undefined && byte >= ZERO && byte <= NINE; byte = bytes[++at]);
      if (at === first) {
        this.#at = at;
        throw this.#expected('a digit');
      }
    };
    if (bytes[at] === MINUS) at++;
    if (bytes[at] === ZERO) at++;
    else digits();
    let integer = true;
    if (bytes[at] === 0x2e) {
      integer = false;
      at++;
      digits();
    }
    if (bytes[at] === 0x65 || bytes[at] === 0x45) {
      integer = false;
      at++;
      if (bytes[at] === 0x2b || bytes[at] === MINUS) at++;
      digits();
    }
    if (at - start > JSON_NUMBER_CHARACTERS)
      throw this.fail(`has a number of ${at - start} characters (limit ${JSON_NUMBER_CHARACTERS})`);
    this.#at = at;
    return { text: bytes.toString('latin1', start, at), integer };
  }

  /** A number: an integer beyond 2^53 is a bigint; `24.0` and `1e3` are numbers like any other here. */
  number(): number | bigint {
    const { text, integer } = this.#number();
    const value = Number(text);
    return integer && !Number.isSafeInteger(value) ? BigInt(text) : value;
  }

  /**
   * An unsigned integer below 2^64, exact. `what` names it in the message.
   * @throws E_MALFORMED for `-1`, `24.0`, `2e1`, `"24"`, `true`, 2^64.
   */
  unsigned(what: string): number | bigint {
    const bytes = this.#bytes;
    const first = this.#peek();
    let at = this.#at;
    // The common case: up to 15 digits and then a delimiter.
    if (first >= ZERO && first <= NINE) {
      let value = 0;
      const end = at + (first === ZERO ? 1 : 15);
      for (let byte = bytes[at]; byte !== undefined && byte >= ZERO && byte <= NINE && at < end; ) {
        value = value * 10 + (byte - ZERO);
        byte = bytes[++at];
      }
      const next = bytes[at];
      if (next === COMMA || next === 0x5d) {
        this.#at = at;
        return value;
      }
    }
    const start = this.#at;
    const refuse = (found: string): MlserError => {
      this.#at = start;
      return this.fail(`has ${found} for ${what}, where an unsigned 64-bit integer was needed`);
    };
    if (first !== MINUS && !(first >= ZERO && first <= NINE))
      throw refuse(first === -1 ? 'nothing' : KIND_TEXT[this.kind()]);
    const { text, integer } = this.#number();
    const shown = text.length > 40 ? `${text.slice(0, 40)}…` : text;
    if (!integer || first === MINUS || text.length > 20) throw refuse(shown);
    const exact = BigInt(text);
    if (exact >= 1n << 64n) throw refuse(shown);
    return exact <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(exact) : exact;
  }

  #word(word: string): void {
    if (this.#bytes.toString('latin1', this.#at, this.#at + word.length) !== word)
      throw this.#expected('a value');
    this.#at += word.length;
  }

  null(): null {
    this.kind();
    this.#word('null');
    return null;
  }

  /** Any value as a tree. A key that an object holds twice is E_MALFORMED. */
  value(): JsonTree {
    const kind = this.kind();
    if (kind === 'string') return this.string();
    if (kind === 'number') return this.number();
    if (kind === 'object') {
      const map = new Map<string, JsonTree>();
      this.object((key) => {
        if (map.has(key)) throw this.fail(`has the key ${JSON.stringify(key)} twice in one object`);
        map.set(key, this.value());
      });
      return map;
    }
    if (kind === 'array') {
      const items: JsonTree[] = [];
      this.array(() => items.push(this.value()));
      return items;
    }
    this.#word(kind);
    return kind === 'null' ? null : kind === 'true';
  }

  /** Reads and forgets any value. */
  skip(): void {
    const kind = this.kind();
    if (kind === 'string') this.string();
    else if (kind === 'number') this.#number();
    else if (kind === 'object') this.object(() => this.skip());
    else if (kind === 'array') this.array(() => this.skip());
    else this.#word(kind);
  }

  /** Checks that only white space follows; the bytes of it. */
  end(): Uint8Array {
    const start = this.#at;
    if (this.#peek() !== -1) throw this.#expected('the end');
    return this.#bytes.subarray(start);
  }
}
