import { hasLoneSurrogate } from '../../io/utf8.js';

/** Largest integer that LONG1 holds, in bytes; the longer forms are not read by torch's restricted machine. */
const LONG1_BYTES = 255;
const BATCH = 1000;

/** True if torch's restricted unpickler has an opcode for it. */
export const writableInt = (value: bigint): boolean => intBytes(value) <= LONG1_BYTES;

/** Bytes of the shortest two's complement form. */
function intBytes(value: bigint): number {
  const bits = (value < 0n ? -value - 1n : value).toString(2).length + 1;
  return Math.ceil(bits / 8);
}

/**
 * Writes a pickle of protocol 2 with the opcodes that `torch.load(weights_only=True)` knows. Repeated strings and
 * names are stored once. The same calls give the same bytes.
 */
export class PickleWriter {
  readonly #parts: Uint8Array[] = [Uint8Array.of(0x80, 2)];
  readonly #memo = new Map<string, number>();

  finish(): Uint8Array {
    this.#byte(0x2e);
    return Buffer.concat(this.#parts);
  }

  #byte(...bytes: number[]): void {
    this.#parts.push(Uint8Array.from(bytes));
  }

  /** Fetches `key` from the memo, or makes and stores it. */
  #once(key: string, make: () => void): void {
    const known = this.#memo.get(key);
    if (known !== undefined) {
      this.#index(0x68, 0x6a, known);
      return;
    }
    make();
    const index = this.#memo.size;
    this.#memo.set(key, index);
    this.#index(0x71, 0x72, index);
  }
  #index(short: number, long: number, index: number): void {
    if (index < 256) this.#byte(short, index);
    else this.#u32(long, index);
  }
  #u32(opcode: number, value: number): void {
    const bytes = Buffer.alloc(5);
    bytes[0] = opcode;
    bytes.writeUInt32LE(value, 1);
    this.#parts.push(bytes);
  }

  none(): void {
    this.#byte(0x4e);
  }
  bool(value: boolean): void {
    this.#byte(value ? 0x88 : 0x89);
  }
  int(value: bigint | number): void {
    const int = BigInt(value);
    if (int >= 0n && int < 0x100n) this.#byte(0x4b, Number(int));
    else if (int >= 0n && int < 0x10000n) this.#byte(0x4d, Number(int) & 0xff, Number(int) >> 8);
    else if (BigInt.asIntN(32, int) === int) this.#u32(0x4a, Number(BigInt.asUintN(32, int)));
    else this.#long(int);
  }
  #long(value: bigint): void {
    const length = intBytes(value);
    const hex = BigInt.asUintN(length * 8, value)
      .toString(16)
      .padStart(length * 2, '0');
    this.#byte(0x8a, length);
    this.#parts.push(Buffer.from(hex, 'hex').reverse());
  }
  float(value: number): void {
    const bytes = Buffer.alloc(9);
    bytes[0] = 0x47;
    bytes.writeDoubleBE(value, 1);
    this.#parts.push(bytes);
  }
  string(value: string): void {
    this.#once(`s${value}`, () => {
      const bytes = hasLoneSurrogate(value) ? surrogatePass(value) : Buffer.from(value, 'utf8');
      this.#u32(0x58, bytes.byteLength);
      this.#parts.push(bytes);
    });
  }
  global(module: string, name: string): void {
    this.#once(`g${module}\n${name}`, () => this.#parts.push(Buffer.from(`c${module}\n${name}\n`, 'latin1')));
  }
  /** `module.name(*args)`, with as many arguments as `args` writes. */
  call(module: string, name: string, args: () => void): void {
    this.global(module, name);
    this.tuple(args);
    this.#byte(0x52);
  }
  tuple(items: () => void): void {
    this.#byte(0x28);
    items();
    this.#byte(0x74);
  }
  list<T>(items: readonly T[], write: (item: T) => void): void {
    this.#byte(0x5d);
    this.#batches(items, 0x65, write);
  }
  dict<T>(entries: readonly T[], ordered: boolean, write: (entry: T) => void): void {
    if (ordered) this.call('collections', 'OrderedDict', () => {});
    else this.#byte(0x7d);
    this.#batches(entries, 0x75, write);
  }
  #batches<T>(items: readonly T[], opcode: number, write: (item: T) => void): void {
    for (let at = 0; at < items.length; at += BATCH) {
      this.#byte(0x28);
      for (const item of items.slice(at, at + BATCH)) write(item);
      this.#byte(opcode);
    }
  }
  /** The protocol 2 form of bytes: text of one character a byte, encoded again. */
  bytes(value: Uint8Array): void {
    this.call('_codecs', 'encode', () => {
      const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1');
      const utf8 = Buffer.from(text, 'utf8');
      this.#u32(0x58, utf8.byteLength);
      this.#parts.push(utf8);
      this.string('latin1');
    });
  }
  /** A reference to something outside the pickle. */
  persistent(id: () => void): void {
    this.tuple(id);
    this.#byte(0x51);
  }
}

/** UTF-8 with lone surrogates as they are (Python's `surrogatepass`). */
function surrogatePass(text: string): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const char of text) {
    const point = char.codePointAt(0) ?? 0;
    parts.push(
      point >= 0xd800 && point <= 0xdfff
        ? Uint8Array.of(0xed, 0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f))
        : Buffer.from(char, 'utf8'),
    );
  }
  return Buffer.concat(parts);
}
