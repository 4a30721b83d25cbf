/**
 * The Python literals that an npy header is made of (numpy.lib.format: "a Python literal expression of a
 * dictionary"). Parsed as text: nothing is ever evaluated. Throws LiteralError; the caller knows the file.
 */
export type Literal =
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'int'; readonly value: bigint }
  | { readonly kind: 'float'; readonly text: string }
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'none' }
  | { readonly kind: 'tuple' | 'list'; readonly items: readonly Literal[] }
  | { readonly kind: 'dict'; readonly entries: readonly (readonly [Literal, Literal])[] };

export class LiteralError extends Error {
  constructor(
    message: string,
    /** Position in the text. */
    readonly at: number,
  ) {
    super(message);
  }
}

/** Structured dtypes nest; a header that is deeper than this is none. */
const DEPTH = 32;
const NUMBER = /[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)/y;
const WORDS = new Map<string, Literal>([
  ['True', { kind: 'bool', value: true }],
  ['False', { kind: 'bool', value: false }],
  ['None', { kind: 'none' }],
]);
const ESCAPES = new Map([
  ['n', '\n'],
  ['t', '\t'],
  ['r', '\r'],
  ['\\', '\\'],
  ["'", "'"],
  ['"', '"'],
]);

export interface ParsedLiteral {
  readonly value: Literal;
  /** Integers had the `L` of Python 2. */
  readonly longs: boolean;
}

export function parseLiteral(text: string): ParsedLiteral {
  const parser = new Parser(text);
  const value = parser.value(0);
  parser.end();
  return { value, longs: parser.longs };
}

class Parser {
  longs = false;
  #at = 0;

  constructor(readonly text: string) {}

  #fail(message: string): LiteralError {
    return new LiteralError(message, this.#at);
  }

  /** The next character that is not white space, not taken. */
  #peek(): string {
    while (' \t\n\r\f'.includes(this.text[this.#at] ?? 'x')) this.#at++;
    return this.text[this.#at] ?? '';
  }

  #take(char: string): boolean {
    if (this.#peek() !== char) return false;
    this.#at++;
    return true;
  }

  end(): void {
    const rest = this.#peek();
    if (rest !== '') throw this.#fail(`${JSON.stringify(rest)} follows the dictionary`);
  }

  value(depth: number): Literal {
    if (depth > DEPTH) throw this.#fail(`nested deeper than ${DEPTH}`);
    if (this.#take('{')) return this.#dict(depth);
    if (this.#take('[')) return { kind: 'list', items: this.#items(']', depth).items };
    if (this.#take('(')) {
      const { items, comma } = this.#items(')', depth);
      const [only] = items;
      return items.length === 1 && only && !comma ? only : { kind: 'tuple', items };
    }
    const next = this.#peek();
    const quote = /^[uU]?(['"])/.exec(this.text.slice(this.#at, this.#at + 2));
    if (quote?.[1]) {
      this.#at += quote[0].length;
      return { kind: 'string', value: this.#string(quote[1]) };
    }
    if (/[0-9+\-.]/.test(next)) return this.#number();
    const word = /^\w+/.exec(this.text.slice(this.#at, this.#at + 64))?.[0] ?? next;
    const known = WORDS.get(word);
    if (!known) throw this.#fail(word === '' ? 'it ends early' : `${JSON.stringify(word)} is no literal`);
    this.#at += word.length;
    return known;
  }

  #items(close: string, depth: number): { items: Literal[]; comma: boolean } {
    const items: Literal[] = [];
    let comma = false;
    while (!this.#take(close)) {
      if (items.length > 0 && !comma) throw this.#fail(`a comma or ${JSON.stringify(close)} is missing`);
      items.push(this.value(depth + 1));
      comma = this.#take(',');
    }
    return { items, comma };
  }

  #dict(depth: number): Literal {
    const entries: [Literal, Literal][] = [];
    let comma = true;
    while (!this.#take('}')) {
      if (!comma) throw this.#fail('a comma or "}" is missing');
      const key = this.value(depth + 1);
      if (!this.#take(':')) throw this.#fail('a colon is missing');
      entries.push([key, this.value(depth + 1)]);
      comma = this.#take(',');
    }
    return { kind: 'dict', entries };
  }

  #string(quote: string): string {
    let value = '';
    for (;;) {
      const char = this.text[this.#at++];
      if (char === undefined || char === '\n') throw this.#fail('a string is not closed');
      if (char === quote) return value;
      if (char !== '\\') {
        value += char;
        continue;
      }
      const escaped = ESCAPES.get(this.text[this.#at++] ?? '');
      if (escaped === undefined) throw this.#fail('an escape that no header needs');
      value += escaped;
    }
  }

  #number(): Literal {
    NUMBER.lastIndex = this.#at;
    const text = NUMBER.exec(this.text)?.[0];
    if (text === undefined) throw this.#fail('no number');
    this.#at += text.length;
    if (!/^[+-]?\d+$/.test(text)) return { kind: 'float', text };
    if (this.text[this.#at] === 'L') {
      this.#at++;
      this.longs = true;
    }
    if (/\w/.test(this.text[this.#at] ?? ' ')) throw this.#fail(`a number that begins ${text}`);
    return { kind: 'int', value: BigInt(text) };
  }
}
