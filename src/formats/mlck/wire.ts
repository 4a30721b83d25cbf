import type { Reader } from 'protobufjs/minimal.js';
import { type MlserError, malformed } from '../../errors.js';
import { decodeUtf8 } from '../../io/cursor.js';

/** One message being read: typed values with their bounds checked. */
export class Fields {
  readonly #reader: Reader;
  readonly #end: number;
  readonly #what: string;
  #field = 0;
  #wire = 0;
  #start = 0;

  constructor(reader: Reader, end: number, what: string) {
    this.#reader = reader;
    this.#end = end;
    this.#what = what;
  }

  /** Number of the field that `next` found. */
  get field(): number {
    return this.#field;
  }

  bad(why: string): MlserError {
    return malformed(`${this.#what}: ${why}`, { part: this.#what });
  }

  /** Moves to the next field; false at the end of the message. */
  next(): boolean {
    if (this.#reader.pos >= this.#end) {
      if (this.#reader.pos > this.#end) throw this.bad('a field reaches past its message');
      return false;
    }
    this.#start = this.#reader.pos;
    const tag = this.#reader.uint32();
    this.#field = tag >>> 3;
    this.#wire = tag & 7;
    if (this.#field === 0) throw this.bad('a field has the number 0');
    return true;
  }

  /** Passes over the field and gives its bytes, tag included. */
  skip(): Uint8Array {
    this.#reader.skipType(this.#wire, 0, this.field);
    return new Uint8Array(this.#reader.buf.subarray(this.#start, this.#reader.pos));
  }

  #expect(wire: number): void {
    if (this.#wire !== wire) throw this.bad(`field ${this.field} has wire type ${this.#wire}, not ${wire}`);
  }

  #length(): number {
    this.#expect(2);
    const length = this.#reader.uint32();
    if (length > this.#end - this.#reader.pos)
      throw this.bad(`field ${this.field} says ${length} bytes, ${this.#end - this.#reader.pos} are left`);
    return length;
  }

  message(what: string): Fields {
    const length = this.#length();
    return new Fields(this.#reader, this.#reader.pos + length, what);
  }

  /** A view of the message. */
  #view(): Uint8Array {
    const length = this.#length();
    const { pos } = this.#reader;
    this.#reader.skip(length);
    return this.#reader.buf.subarray(pos, pos + length);
  }

  bytes(): Uint8Array {
    return new Uint8Array(this.#view());
  }

  hex(bytes: number): string {
    const value = this.#view();
    if (value.byteLength !== bytes)
      throw this.bad(`field ${this.field} has ${value.byteLength} bytes, not ${bytes}`);
    return Buffer.from(value).toString('hex');
  }

  text(): string {
    const value = decodeUtf8(this.#view());
    if (value === undefined) throw this.bad(`field ${this.field} is not UTF-8`);
    return value;
  }

  uint32(): number {
    this.#expect(0);
    return this.#reader.uint32();
  }

  bool(): boolean {
    this.#expect(0);
    return this.#reader.bool();
  }

  double(): number {
    this.#expect(1);
    return this.#reader.double();
  }

  u64(): number {
    this.#expect(0);
    return this.#safe();
  }

  #safe(): number {
    const { low, high } = this.#reader.uint64();
    const value = (high >>> 0) * 2 ** 32 + (low >>> 0);
    if (!Number.isSafeInteger(value))
      throw this.bad(`field ${this.field} is ${value}, which no file can hold`);
    return value;
  }

  /** Adds the values of a repeated number field, packed or not, to a list that may hold `limit` of them. */
  numbers(kind: NumberKind, into: number[], limit: number): void {
    if (this.#wire !== 2) {
      this.#expect(kind === 'fixed32' || kind === 'float' ? 5 : 0);
      this.#number(kind, into, limit);
      return;
    }
    const end = this.#length() + this.#reader.pos;
    while (this.#reader.pos < end) this.#number(kind, into, limit);
    if (this.#reader.pos !== end) throw this.bad(`field ${this.field} ends inside a number`);
  }

  #number(kind: NumberKind, into: number[], limit: number): void {
    if (into.length >= limit) throw this.bad(`field ${this.field} has more than ${limit} values`);
    into.push(kind === 'uint64' ? this.#safe() : this.#reader[kind]());
  }
}

type NumberKind = 'uint32' | 'uint64' | 'fixed32' | 'float';

/** Runs a decoder over bytes in memory; what protobufjs throws becomes E_MALFORMED. */
export async function decodeMessage<T>(
  bytes: Uint8Array,
  what: string,
  decode: (fields: Fields) => T,
): Promise<T> {
  const { Reader } = await import('protobufjs/minimal.js');
  try {
    return decode(new Fields(Reader.create(bytes), bytes.byteLength, what));
  } catch (error) {
    if (error instanceof RangeError || (error instanceof Error && error.constructor === Error))
      throw malformed(`${what}: ${error.message}`, { part: what });
    throw error;
  }
}
