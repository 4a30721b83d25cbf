import { type DType, dtypeFacts } from '../../core/dtype.js';
import type { MlserError } from '../../errors.js';
import { memorySource } from '../../io/memory.js';
import { CHUNK_BYTES } from '../../io/source.js';
import { type DataSpan, dataFieldName, ELEMENT_WIRE } from './data-span.js';
import { invalid } from './invalid.js';
import { type TensorFacts, typedEntries } from './tensor-facts.js';
import { FileWindow } from './window.js';

/** Windows over spans: those of one file share a window, so that many small pieces are read together. */
class SpanWindows {
  #shared: FileWindow | undefined;

  open(span: DataSpan): { window: FileWindow; end: number } {
    if (span.bytes) return { window: new FileWindow(memorySource(span.bytes)), end: span.bytes.byteLength };
    if (!span.file) throw new Error('typed data is read from files only');
    const { source, offset } = span.file;
    if (this.#shared?.source !== source) this.#shared = new FileWindow(source);
    this.#shared.at = offset;
    return { window: this.#shared, end: offset + span.length };
  }
}

/** A tag and a value at most. */
const RECORD_BYTES = 20;

/**
 * The canonical bytes of data in a typed field, in chunks: varints widened or narrowed to the element type,
 * runs of unpacked records joined. E_MALFORMED if a value does not fit its type or their number is wrong.
 */
export async function* typedChunks(
  facts: TensorFacts,
  spans: readonly DataSpan[],
): AsyncGenerator<Uint8Array> {
  const { field, label } = facts;
  const details = { file: facts.file, tensor: facts.info.name };
  const fieldName = field === undefined ? 'data' : dataFieldName(field);
  const fail = (what: string): MlserError => invalid(`${label}: ${fieldName} ${what}`, details);
  const wanted = typedEntries(facts);
  const out = new Packer(facts, fail);
  const windows = new SpanWindows();
  let entries = 0;
  for (const span of spans) {
    const { window, end } = windows.open(span);
    const wire = ELEMENT_WIRE[span.field];
    while (window.at < end) {
      if (!window.holds(RECORD_BYTES)) await window.fill(RECORD_BYTES);
      if (span.form === 'records') window.varint(end); // the tag, which the decoder has seen
      if (wire === 0) {
        if (window.varint(end) !== 'ok') throw fail('ends inside a value');
        out.varint(window.low, window.high);
      } else out.fixed(window.take(wire === 5 ? 4 : 8));
      if (++entries > wanted) throw fail(`has more than the ${wanted} entries that the shape needs`);
      if (out.full) yield out.take();
    }
  }
  if (entries < wanted) throw fail(`has ${entries} entries, the shape needs ${wanted}`);
  out.flush();
  if (out.length > 0) yield out.take();
}

/** Smallest and largest entry of a varint field, as a signed 32-bit number; bit patterns may be sign-extended. */
function range(dtype: DType): readonly [number, number] {
  const { kind, bits } = dtypeFacts(dtype);
  if (bits < 8) return bits === 6 ? [0, 63] : [-128, 255]; // packed: an entry is a byte
  if (kind === 'bool') return [-(2 ** 31), 2 ** 31 - 1];
  if (kind === 'float') return [-(2 ** (bits - 1)), 2 ** bits - 1];
  return kind === 'int' ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1];
}

/** More than one element in canonical form. */
const ROOM_BYTES = 16;

/** Collects elements in canonical form. */
class Packer {
  length = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #dtype: DType;
  readonly #width: number;
  readonly #low: number;
  readonly #high: number;
  readonly #fail: (what: string) => MlserError;
  /** 6-bit elements waiting for their byte. */
  #bits = 0;
  #bitCount = 0;

  constructor({ type, byteLength }: TensorFacts, fail: (what: string) => MlserError) {
    this.#bytes = new Uint8Array(Math.min(CHUNK_BYTES, byteLength + ROOM_BYTES));
    this.#view = new DataView(this.#bytes.buffer);
    this.#dtype = type.dtype;
    this.#width = Math.max(8, dtypeFacts(type.dtype).bits) / 8;
    [this.#low, this.#high] = range(type.dtype);
    this.#fail = fail;
  }

  /** No room for one more element; never inside a group of 6-bit elements. */
  get full(): boolean {
    return this.length + ROOM_BYTES > this.#bytes.byteLength && this.#bitCount === 0;
  }

  take(): Uint8Array {
    const chunk = this.#bytes.slice(0, this.length);
    this.length = 0;
    return chunk;
  }

  fixed(bytes: Uint8Array): void {
    this.#bytes.set(bytes, this.length);
    this.length += bytes.byteLength;
  }

  varint(low: number, high: number): void {
    const at = this.length;
    if (this.#width === 8) {
      this.#view.setUint32(at, low, true);
      this.#view.setUint32(at + 4, high, true);
      this.length += 8;
      return;
    }
    if (this.#dtype === 'u32') {
      if (high !== 0)
        throw this.#fail(`holds ${(BigInt(high) << 32n) | BigInt(low)}, which does not fit u32`);
      this.#view.setUint32(at, low, true);
      this.length += 4;
      return;
    }
    const value = low | 0; // int32 entries: protobuf keeps the low 32 bits
    if (value < this.#low || value > this.#high)
      throw this.#fail(`holds ${value}, which does not fit ${this.#dtype}`);
    if (this.#dtype === 'bool') this.#bytes[this.length++] = value === 0 ? 0 : 1;
    else if (this.#dtype === 'f6_e2m3' || this.#dtype === 'f6_e3m2') this.#sixBits(value);
    else if (this.#width === 1) this.#bytes[this.length++] = value;
    else if (this.#width === 2) {
      this.#view.setUint16(at, value & 0xffff, true);
      this.length += 2;
    } else {
      this.#view.setInt32(at, value, true);
      this.length += 4;
    }
  }

  #sixBits(value: number): void {
    this.#bits |= value << this.#bitCount;
    this.#bitCount += 6;
    while (this.#bitCount >= 8) {
      this.#bytes[this.length++] = this.#bits & 0xff;
      this.#bits >>>= 8;
      this.#bitCount -= 8;
    }
  }

  /** The last bits of 6-bit elements, filled up with zeros. */
  flush(): void {
    if (this.#bitCount > 0) this.#bytes[this.length++] = this.#bits & 0xff;
    this.#bits = 0;
    this.#bitCount = 0;
  }
}

/** The strings of string_data, as bytes. Chunks of the canonical form: u32 length and bytes, each string. */
export async function* stringChunks(spans: readonly DataSpan[]): AsyncGenerator<Uint8Array> {
  const windows = new SpanWindows();
  for (const span of spans) {
    const { window, end } = windows.open(span);
    while (window.at < end) {
      if (!window.holds(RECORD_BYTES)) await window.fill(RECORD_BYTES);
      window.varint(end); // tag and length were checked by the decoder
      window.varint(end);
      const length = window.low;
      const prefix = new Uint8Array(4);
      new DataView(prefix.buffer).setUint32(0, length, true);
      yield prefix;
      for (let left = length; left > 0; ) {
        const take = Math.min(left, CHUNK_BYTES);
        if (!window.holds(take)) await window.fill(take);
        yield window.take(take);
        left -= take;
      }
    }
  }
}
