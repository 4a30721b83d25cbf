import { MlserError } from '../errors.js';

/**
 * A bounds-checked little-endian reader over bytes in memory. 64-bit values are read as bigint, checked once
 * to be safe integers, and are numbers everywhere else.
 */
export class Cursor {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  /** Position in the bytes. */
  at: number;
  /** Added to positions in messages: where the bytes lie in the file. */
  readonly #base: number;
  readonly #name: string;

  constructor(bytes: Uint8Array, name: string, options: { at?: number; base?: number } = {}) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#name = name;
    this.at = options.at ?? 0;
    this.#base = options.base ?? 0;
  }

  get remaining(): number {
    return this.#bytes.byteLength - this.at;
  }
  /** Offset in the file, for messages. */
  get offset(): number {
    return this.#base + this.at;
  }

  #take(length: number): number {
    if (length < 0 || length > this.remaining)
      throw new MlserError(
        'E_TRUNCATED',
        `${this.#name}: ${length} bytes were needed at offset ${this.offset}, ${this.remaining} are there`,
        { details: { file: this.#name, offset: this.offset, needed: length, available: this.remaining } },
      );
    const at = this.at;
    this.at += length;
    return at;
  }

  u8 = (): number => this.#view.getUint8(this.#take(1));
  u16 = (): number => this.#view.getUint16(this.#take(2), true);
  u32 = (): number => this.#view.getUint32(this.#take(4), true);
  i32 = (): number => this.#view.getInt32(this.#take(4), true);
  f32 = (): number => this.#view.getFloat32(this.#take(4), true);
  f64 = (): number => this.#view.getFloat64(this.#take(8), true);
  f64be = (): number => this.#view.getFloat64(this.#take(8), false);
  u64big = (): bigint => this.#view.getBigUint64(this.#take(8), true);
  i64big = (): bigint => this.#view.getBigInt64(this.#take(8), true);

  /** An unsigned 64-bit value that must be at most 2^53 - 1. */
  u64(what = 'value'): number {
    const offset = this.offset;
    return safeNumber(this.u64big(), `${this.#name}: ${what} at offset ${offset}`);
  }

  /** A view, not a copy. */
  bytes(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }
}

/** bigint → number, E_MALFORMED if it is negative or past 2^53 - 1. */
export function safeNumber(value: bigint, what: string): number {
  if (value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER))
    throw new MlserError('E_MALFORMED', `${what} is ${value}, which no file can hold`, {
      details: { value: value.toString() },
    });
  return Number(value);
}

/** Strict UTF-8; undefined if the bytes are not. A BOM is kept as a character. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
