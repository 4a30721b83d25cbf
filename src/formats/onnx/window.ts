import type { ByteSource } from '../../io/source.js';

/** Bytes read at a time where structure follows structure. */
const WINDOW_BYTES = 64 * 1024;
/** After a jump over a tensor: the next tensor's few fields, and the next jump. */
const FIRST_BYTES = 2 * 1024;

/**
 * A window that moves forward over a file. Reading from it is synchronous; the caller fills it when it runs low.
 * Positions are offsets in the file.
 */
export class FileWindow {
  readonly source: ByteSource;
  #bytes: Buffer = Buffer.alloc(0);
  /** What `#bytes` is a part of, where the source reads into it. */
  #own: Buffer = this.#bytes;
  #base = 0;
  /** Position after the last byte that the window holds. */
  end = 0;
  #size = FIRST_BYTES;
  /** Next byte. */
  at = 0;

  constructor(source: ByteSource) {
    this.source = source;
  }

  /** Bytes that can be read without filling; negative if the position lies outside the window. */
  get ready(): number {
    return this.at < this.#base ? -1 : this.end - this.at;
  }

  /** True if `length` bytes, or all bytes to the end of the file, can be read without filling. */
  holds(length: number): boolean {
    return this.ready >= Math.min(length, this.source.size - this.at);
  }

  /**
   * Makes `length` bytes (or what the file still has) ready; a promise only where the source has to be waited for. The
   * caller has checked that they are worth the memory.
   */
  fill(length: number): Promise<void> | undefined {
    const { source, at } = this;
    const jumped = at > this.end;
    this.#size = jumped ? FIRST_BYTES : Math.min(WINDOW_BYTES, this.#size * 2);
    const count = Math.min(Math.max(length, this.#size), source.size - at);
    if (!source.readInto)
      return source.read(at, count).then((bytes) => {
        this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        this.#base = at;
        this.end = at + count;
      });
    // A buffer a tensor was a third of the garbage of reading a graph.
    if (this.#own.byteLength < count) this.#own = Buffer.allocUnsafe(Math.max(count, WINDOW_BYTES));
    this.#bytes = this.#own.subarray(0, count);
    source.readInto(at, this.#bytes);
    this.#base = at;
    this.end = at + count;
    return undefined;
  }

  /** The next byte if it is a varint by itself that ends before `end` (most are), else -1. */
  small(end: number): number {
    const byte = this.at < end ? (this.#bytes[this.at - this.#base] ?? 0x80) : 0x80;
    if (byte >= 0x80) return -1;
    this.at++;
    this.low = byte;
    this.high = 0;
    return byte;
  }

  /** Low and high 32 bits of the last varint. */
  low = 0;
  high = 0;

  /**
   * Reads a varint that must end before `end` into `low` and `high`. At most 10 bytes, which are ready.
   * `cut`: it does not end before `end`. `long`: it has more than 10 bytes.
   */
  varint(end: number): 'ok' | 'cut' | 'long' {
    let low = 0;
    let high = 0;
    for (let i = 0; i < 10; i++) {
      if (this.at >= end) return 'cut';
      const byte = this.#bytes[this.at++ - this.#base] ?? 0;
      const bits = byte & 0x7f;
      if (i < 4) low |= bits << (7 * i);
      else if (i === 4) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (7 * i - 32);
      if (byte < 0x80) {
        this.low = low >>> 0;
        this.high = high >>> 0;
        return 'ok';
      }
    }
    return 'long';
  }

  /** The next bytes, copied. */
  take(length: number): Uint8Array {
    const start = this.at - this.#base;
    this.at += length;
    return this.#copy(start, start + length);
  }

  /** A plain array of its own, not a Buffer. */
  #copy(start: number, end: number): Uint8Array {
    return new Uint8Array(this.#bytes.subarray(start, end));
  }

  /** The next bytes as text, or undefined if they are not UTF-8 (or hold U+FFFD, which stands for what is not). */
  text(length: number): string | undefined {
    const start = this.at - this.#base;
    const text = this.#bytes.toString('utf8', start, start + length);
    if (text.includes('\ufffd')) return undefined;
    this.at += length;
    return text;
  }

  float32(): number {
    const start = this.at - this.#base;
    this.at += 4;
    return this.#bytes.readFloatLE(start);
  }

  /** Bytes of the file, from the window if they are still in it. */
  async range(start: number, length: number): Promise<Uint8Array> {
    const from = start - this.#base;
    if (from >= 0 && from + length <= this.#bytes.byteLength) return this.#copy(from, from + length);
    return this.source.read(start, length);
  }

  /** Bytes of the file if they are still in the window. */
  peek(start: number, length: number): Uint8Array | undefined {
    const from = start - this.#base;
    if (from < 0 || from + length > this.#bytes.byteLength) return undefined;
    return this.#copy(from, from + length);
  }
}
