import { rangeTensor, type TensorSource } from '../../core/tensor.js';
import type { ByteSource } from '../../io/source.js';
import type { DataSpan } from './data-span.js';
import { ENUMS, type Message, type MessageName, SCHEMA } from './schema.js';

/** A part of an encoded message: bytes, or a place that a tensor's bytes will fill. Parts are in order. */
export type EncodedPart =
  | { readonly at: number; readonly bytes: Uint8Array }
  | { readonly at: number; readonly content: TensorSource };

export interface Encoded {
  readonly size: number;
  readonly parts: readonly EncodedPart[];
}

/**
 * Encodes a message without the bytes of its large tensors, whose places are left open: lengths of nested messages
 * are known because the message is written from its end to its start. Fields are in the order of their numbers, unknown ones last.
 */
export function encodeMessage<N extends MessageName>(name: N, message: Message<N>): Encoded {
  const out = new BackwardWriter();
  writeMessage(out, name, message);
  return out.finish();
}

/** The encoded message in memory. All tensors must carry their bytes. */
export function encodeToBytes<N extends MessageName>(name: N, message: Message<N>): Uint8Array {
  const { size, parts } = encodeMessage(name, message);
  const bytes = new Uint8Array(size);
  for (const part of parts) {
    if (!('bytes' in part)) throw new Error(`tensor ${part.content.info.name} is not in memory`);
    bytes.set(part.bytes, part.at);
  }
  return bytes;
}

interface Plan {
  readonly key: string;
  readonly id: number;
  readonly type: string;
  readonly message: MessageName | undefined;
  readonly many: boolean;
}
const plans = new Map<MessageName, readonly Plan[]>();
const isMessage = (type: string): type is MessageName => Object.hasOwn(SCHEMA, type);

/** Fields in descending order of number: the order in which they are written backwards. */
function planOf(name: MessageName): readonly Plan[] {
  let plan = plans.get(name);
  if (!plan) {
    plan = Object.entries(SCHEMA[name])
      .map(([key, { id, type, many }]) => ({
        key,
        id,
        type,
        message: isMessage(type) ? type : undefined,
        many,
      }))
      .sort((a, b) => b.id - a.id);
    plans.set(name, plan);
  }
  return plan;
}

function writeMessage(out: BackwardWriter, name: MessageName, message: object): void {
  const fields = message as Readonly<Record<string, unknown>>; // every message is keyed by the names of SCHEMA
  const unknown = fields['unknown'] as readonly Uint8Array[];
  for (let i = unknown.length - 1; i >= 0; i--) out.bytes(unknown[i] ?? new Uint8Array());
  if (name === 'TensorProto') writeData(out, fields['data'] as readonly DataSpan[]);
  for (const plan of planOf(name)) {
    const value = fields[plan.key];
    if (value === undefined) continue;
    if (!plan.many) writeField(out, plan, value);
    else {
      const list = value as readonly unknown[];
      for (let i = list.length - 1; i >= 0; i--) writeField(out, plan, list[i]);
    }
  }
}

function writeData(out: BackwardWriter, data: readonly DataSpan[]): void {
  for (let i = data.length - 1; i >= 0; i--) {
    const span = data[i];
    if (!span) continue;
    if (span.bytes) out.bytes(span.bytes);
    else if (span.content) out.hole(span.content, span.length);
    else if (span.file) out.hole(fileRange(span.file.source, span.file.offset, span.length), span.length);
    if (span.form === 'records') continue; // its tags are inside
    out.varint(span.length);
    out.tag(span.field, 2);
  }
}

const fileRange = (source: ByteSource, offset: number, length: number): TensorSource =>
  rangeTensor({ name: source.name, dtype: 'u8', shape: [length] }, source, offset);

function writeField(out: BackwardWriter, { id, type, message }: Plan, value: unknown): void {
  if (message) {
    const end = out.size;
    writeMessage(out, message, value as object);
    out.varint(out.size - end);
    out.tag(id, 2);
  } else if (type === 'string' || type === 'bytes') {
    const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : (value as Uint8Array);
    out.bytes(bytes);
    out.varint(bytes.byteLength);
    out.tag(id, 2);
  } else if (type === 'float') {
    out.float(value as number);
    out.tag(id, 5);
  } else if (type === 'int64') {
    out.varint64(value as bigint);
    out.tag(id, 0);
  } else if (type === 'int32' || Object.hasOwn(ENUMS, type)) {
    const int = value as number;
    if (int >= 0) out.varint(int);
    else out.varint64(BigInt(int));
    out.tag(id, 0);
  } else throw new Error(`schema type ${type} is not known`);
}

/** Small byte arrays are copied together, larger ones are parts of their own. */
const COPY_LIMIT = 64 * 1024;

class BackwardWriter {
  /** Bytes written so far, holes included. */
  size = 0;
  #block = new Uint8Array(256);
  /** Start of what is written in the block; it is filled from its end. */
  #start = 256;
  /** From last to first, `at` counted from the end of the message. */
  readonly #parts: EncodedPart[] = [];

  #room(length: number): number {
    if (this.#start < length) this.#grow(length);
    this.#start -= length;
    this.size += length;
    return this.#start;
  }

  #grow(length: number): void {
    const used = this.#block.byteLength - this.#start;
    const next = new Uint8Array(Math.max(this.#block.byteLength * 2, used + length));
    next.set(this.#block.subarray(this.#start), next.byteLength - used);
    this.#start = next.byteLength - used;
    this.#block = next;
  }

  /** Closes the block of bytes written since the last hole. */
  #cut(): void {
    if (this.#start === this.#block.byteLength) return;
    this.#parts.push({ at: this.size, bytes: this.#block.subarray(this.#start) });
    this.#block = new Uint8Array(256);
    this.#start = 256;
  }

  bytes(bytes: Uint8Array): void {
    if (bytes.byteLength > COPY_LIMIT) {
      this.#cut();
      this.size += bytes.byteLength;
      this.#parts.push({ at: this.size, bytes });
    } else if (bytes.byteLength > 0) {
      const at = this.#room(bytes.byteLength);
      this.#block.set(bytes, at);
    }
  }

  hole(content: TensorSource, length: number): void {
    if (content.byteLength !== length)
      throw new Error(`${content.info.name}: ${content.byteLength} ≠ ${length}`);
    this.#cut();
    this.size += length;
    this.#parts.push({ at: this.size, content });
  }

  tag(id: number, wire: 0 | 1 | 2 | 5): void {
    this.varint(id * 8 + wire);
  }

  /** A non-negative safe integer. */
  varint(value: number): void {
    if (value < 0x80) {
      const at = this.#room(1); // may replace the block
      this.#block[at] = value;
      return;
    }
    let length = 1;
    for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++;
    let at = this.#room(length);
    for (; length > 1; length--) {
      this.#block[at++] = (value % 0x80) | 0x80;
      value = Math.floor(value / 0x80);
    }
    this.#block[at] = value;
  }

  varint64(value: bigint): void {
    if (value >= 0n && value <= BigInt(Number.MAX_SAFE_INTEGER)) {
      this.varint(Number(value));
      return;
    }
    let rest = BigInt.asUintN(64, value);
    const encoded: number[] = [];
    for (; rest >= 0x80n; rest >>= 7n) encoded.push(Number(rest & 0x7fn) | 0x80);
    encoded.push(Number(rest));
    this.bytes(Uint8Array.from(encoded));
  }

  float(value: number): void {
    const at = this.#room(4);
    new DataView(this.#block.buffer).setFloat32(at, value, true);
  }

  finish(): Encoded {
    this.#cut();
    const size = this.size;
    return { size, parts: this.#parts.reverse().map((part) => ({ ...part, at: size - part.at })) };
  }
}
