import { LIMITS } from '../../core/limits.js';
import { type Finding, finding, MlserError, malformed } from '../../errors.js';
import { decodeUtf8 } from '../../io/cursor.js';
import type { ByteSource } from '../../io/source.js';
import { DATA, type DataField, type DataSpan, dataFieldName, ELEMENT_WIRE } from './data-span.js';
import { type FieldPlan, type MessagePlan, planOf } from './message-plan.js';
import { blank, EMPTY, type Message, type MessageName } from './schema.js';
import { FileWindow } from './window.js';

export interface Decoded<N extends MessageName> {
  readonly message: Message<N>;
  readonly findings: readonly Finding[];
}

/** Pieces of tensor data up to this size are kept in memory with the structure. */
const KEEP_BYTES = 1024;
/** A tag and a varint take at most 20 bytes. */
const HEADER_BYTES = 20;
/** What a message or an element counts against LIMITS.ONNX_STRUCTURE_BYTES beside its bytes. */
const MESSAGE_COST = 128;
const ELEMENT_COST = 16;

type Target = Record<string, unknown>;

/** An open message, or an unknown group (`plan` undefined). */
interface Frame {
  readonly plan: MessagePlan | undefined;
  readonly target: Target;
  /** Field name, for messages. */
  readonly label: string;
  /** Offset in the file; a group ends with its end tag, at most here. */
  readonly end: number;
  readonly group: number;
  readonly start: number;
}

/** Strings that only people read: if they are not UTF-8 they are kept as unknown fields. All others are names. */
const isText = (key: string): boolean =>
  key === 'docString' || key === 'producerName' || key === 'producerVersion' || key === 'value';

const isDataField = (id: number): id is DataField => Object.hasOwn(ELEMENT_WIRE, id);

/**
 * Decodes a protobuf message from a file without reading its tensors: data fields of every TensorProto become
 * spans of the file. Rules of the wire format (protobuf.dev/programming-guides/encoding): fields in any order,
 * repeated message fields of one value merged, the last scalar wins, repeated scalars packed or not, a known field
 * with another wire type or an enum value out of range is an unknown field and is kept.
 *
 * Throws E_MALFORMED, E_TRUNCATED, E_LIMIT (PROTOBUF_DEPTH, ONNX_STRUCTURE_BYTES) with the path and the offset.
 */
export async function decodeMessage<N extends MessageName>(name: N, source: ByteSource): Promise<Decoded<N>> {
  const decoder = new Decoder(name, source);
  await decoder.run();
  // The target was filled by the plan of `name`, from which its type is derived too.
  return { message: decoder.root as unknown as Message<N>, findings: decoder.findings };
}

class Decoder {
  readonly root: Target;
  readonly findings: Finding[] = [];
  readonly #window: FileWindow;
  readonly #file: string;
  readonly #stack: Frame[] = [];
  #frame: Frame;
  #kept = 0;

  constructor(name: MessageName, source: ByteSource) {
    this.#window = new FileWindow(source);
    this.#file = source.name;
    this.root = { ...blank(name) };
    this.#frame = {
      plan: planOf(name),
      target: this.root,
      label: name,
      end: source.size,
      group: 0,
      start: 0,
    };
  }

  async run(): Promise<void> {
    const window = this.#window;
    for (;;) {
      const frame = this.#frame;
      if (window.at === frame.end) {
        if (frame.group !== 0) throw this.#malformed(`group ${frame.group} is not closed`);
        if (frame.plan?.isTensor) this.#keepSmallData(frame.target);
        const parent = this.#stack.pop();
        if (!parent) return;
        this.#frame = parent;
        continue;
      }
      if (window.end - window.at < HEADER_BYTES && !window.holds(HEADER_BYTES)) {
        const filling = window.fill(HEADER_BYTES);
        if (filling !== undefined) await filling;
      }
      const start = window.at;
      let tag = window.small(frame.end);
      if (tag < 0) tag = this.#varint('a tag');
      const id = Math.floor(tag / 8);
      const wire = tag % 8;
      if (tag > 0xffffffff || id === 0) throw this.#malformed(`field number ${id}`, start);
      if (wire === 4) await this.#endGroup(id, start);
      else if (wire === 3)
        this.#push({ plan: undefined, target: {}, label: `group ${id}`, end: frame.end, group: id, start });
      else if (wire > 5) throw this.#malformed(`wire type ${wire} of field ${id}`, start);
      else {
        // Awaiting only what waits keeps a graph of 100,000 nodes from being 1,000,000 turns of the event loop.
        const pending = this.#field(frame, id, wire, start);
        if (pending !== undefined) await pending;
      }
    }
  }

  #field(frame: Frame, id: number, wire: number, start: number): Promise<void> | undefined {
    if (frame.plan?.isTensor && isDataField(id) && (wire === 2 || wire === ELEMENT_WIRE[id])) {
      this.#data(frame.target, id, wire, start);
      return undefined;
    }
    const field = frame.plan?.fields[id];
    if (!field) return this.#unknown(wire, start);
    if (wire === 2) return this.#lengthDelimited(frame, field, start);
    if (wire !== field.wire) return this.#unknown(wire, start);
    if (wire === 0) return this.#scalar(frame.target, field, start);
    this.#need(4);
    this.#set(frame.target, field, this.#window.float32());
    return undefined;
  }

  #scalar(target: Target, field: FieldPlan, start: number): Promise<void> | undefined {
    const bits = this.#varint64();
    if (field.type === 'int64') this.#set(target, field, BigInt.asIntN(64, bits));
    else {
      const value = Number(BigInt.asIntN(32, bits));
      if (field.enumMax !== undefined && (value < 0 || value > field.enumMax))
        return this.#unknownUpTo(this.#window.at, start);
      this.#set(target, field, value);
    }
    return undefined;
  }

  #lengthDelimited(frame: Frame, field: FieldPlan, start: number): Promise<void> | undefined {
    const window = this.#window;
    const length = this.#length(field.key);
    const end = window.at + length;
    const { target } = frame;
    if (field.message) {
      this.#charge(MESSAGE_COST);
      const merged = field.many ? undefined : target[field.key];
      const child = (merged ?? { ...blank(field.message.name) }) as Target; // set by this line earlier
      if (!merged) this.#set(target, field, child);
      this.#push({ plan: field.message, target: child, label: field.key, end, group: 0, start });
      return undefined;
    }
    if (field.wire !== 2 && !field.many) return this.#unknownUpTo(end, start);
    this.#charge(length);
    if (end <= window.end || window.holds(length)) return this.#value(target, field, end, start);
    const filling = window.fill(length);
    if (filling === undefined) return this.#value(target, field, end, start);
    return filling.then(() => this.#value(target, field, end, start));
  }

  /** A string, bytes or packed scalars, ready in the window. */
  #value(target: Target, field: FieldPlan, end: number, start: number): Promise<void> | undefined {
    const window = this.#window;
    if (field.type === 'bytes') this.#set(target, field, window.take(end - window.at));
    else if (field.type !== 'string') this.#packed(target, field, end);
    else {
      const length = end - window.at;
      const text = window.text(length) ?? decodeUtf8(window.take(length));
      if (text !== undefined) this.#set(target, field, text);
      else if (!isText(field.key)) throw this.#malformed(`${field.key} is not UTF-8`, start);
      else {
        const where = `${this.#path()}.${field.key}`;
        this.findings.push(finding('warning', 'NOT_UTF8', where, `${where} is not UTF-8: kept as bytes`));
        return this.#unknownUpTo(end, start);
      }
    }
    return undefined;
  }

  #packed(target: Target, field: FieldPlan, end: number): void {
    const window = this.#window;
    while (window.at < end) {
      this.#charge(ELEMENT_COST);
      if (field.wire === 5) {
        if (end - window.at < 4) throw this.#malformed(`packed ${field.key} ends inside a value`);
        this.#set(target, field, window.float32());
      } else this.#set(target, field, BigInt.asIntN(64, this.#varint64(end)));
    }
  }

  /** A data field of a tensor: noted, not read. */
  #data(target: Target, field: DataField, wire: number, start: number): void {
    const window = this.#window;
    const source = window.source;
    const spans = target['data'] as readonly DataSpan[]; // set by nobody else
    if (wire === 2 && field !== DATA.string) {
      const length = this.#length(dataFieldName(field));
      const width = ELEMENT_WIRE[field] === 5 ? 4 : ELEMENT_WIRE[field] === 1 ? 8 : 1;
      if (length % width !== 0)
        throw this.#malformed(
          `packed ${dataFieldName(field)} of ${length} bytes, not a multiple of ${width}`,
          start,
        );
      const span: DataSpan = {
        field,
        form: 'payload',
        records: 1,
        length,
        file: { source, offset: window.at },
      };
      window.at += length;
      // raw_data is one value: the last one counts. Packed pieces follow each other.
      const old = field === DATA.raw ? spans.findIndex((s) => s.field === field) : -1;
      if (old >= 0) (spans as DataSpan[])[old] = span;
      else append(target, 'data', span);
      return;
    }
    let valueBytes = 0;
    if (wire === 0) this.#varint64();
    else {
      const length = wire === 2 ? this.#length('string_data') : wire === 5 ? 4 : 8;
      this.#need(length);
      window.at += length;
      valueBytes = length;
    }
    const last = spans.at(-1);
    const length = window.at - start;
    const runs =
      last?.form === 'records' && last.field === field && (last.file?.offset ?? 0) + last.length === start;
    const span: DataSpan = {
      field,
      form: 'records',
      records: (runs ? last.records : 0) + 1,
      length: (runs ? last.length : 0) + length,
      valueBytes: (runs ? (last.valueBytes ?? 0) : 0) + valueBytes,
      file: runs && last.file ? last.file : { source, offset: start },
    };
    if (runs) (spans as DataSpan[])[spans.length - 1] = span;
    else append(target, 'data', span);
  }

  /** Small pieces of data stay in memory, if the window still has them. */
  #keepSmallData(target: Target): void {
    const spans = target['data'] as readonly DataSpan[]; // set by #data only
    if (spans === EMPTY) return;
    target['data'] = spans.map((span) => {
      if (span.length > KEEP_BYTES || !span.file) return span;
      const bytes = this.#window.peek(span.file.offset, span.length);
      if (!bytes) return span;
      this.#charge(span.length);
      return { ...span, bytes };
    });
  }

  #unknown(wire: number, start: number): Promise<void> | undefined {
    const window = this.#window;
    if (wire === 0) this.#varint64();
    else {
      const length = wire === 2 ? this.#length('an unknown field') : wire === 5 ? 4 : 8;
      this.#need(length);
      window.at += length;
    }
    return this.#unknownUpTo(window.at, start);
  }

  async #unknownUpTo(end: number, start: number): Promise<void> {
    this.#window.at = end;
    if (this.#frame.group !== 0) return; // kept with the outermost group
    this.#charge(end - start);
    append(this.#frame.target, 'unknown', await this.#window.range(start, end - start));
  }

  async #endGroup(id: number, start: number): Promise<void> {
    const group = this.#frame;
    if (group.group !== id)
      throw this.#malformed(
        group.group === 0 ? `group ${id} ends but did not begin` : `group ${group.group} is closed by ${id}`,
        start,
      );
    const parent = this.#stack.pop();
    if (!parent) throw new Error('a group without a message');
    this.#frame = parent;
    await this.#unknownUpTo(this.#window.at, group.start);
  }

  #push(frame: Frame): void {
    if (this.#stack.length >= LIMITS.PROTOBUF_DEPTH)
      throw new MlserError(
        'E_LIMIT',
        `${this.#file}: messages are nested deeper than ${LIMITS.PROTOBUF_DEPTH} (PROTOBUF_DEPTH)`,
        {
          details: { file: this.#file, offset: this.#window.at, limit: 'PROTOBUF_DEPTH' },
          hint: 'no protobuf reader opens such a file: flatten the sub-graphs',
        },
      );
    this.#stack.push(this.#frame);
    this.#frame = frame;
  }

  #set(target: Target, field: FieldPlan, value: unknown): void {
    if (field.rivals) for (const rival of field.rivals) target[rival] = undefined;
    if (field.many) append(target, field.key, value);
    else target[field.key] = value;
  }

  /** A length that lies inside the message. */
  #length(what: string): number {
    const start = this.#window.at;
    let length = this.#window.small(this.#frame.end);
    if (length < 0) length = this.#varint(`the length of ${what}`);
    const left = this.#frame.end - this.#window.at;
    if (length <= left) return length;
    const exact = String((BigInt(this.#window.high) << 32n) | BigInt(this.#window.low));
    if (this.#window.at + length <= this.#window.source.size)
      throw this.#malformed(
        `${what} of ${exact} bytes is longer than its message, which has ${left} left`,
        start,
      );
    throw new MlserError(
      'E_TRUNCATED',
      `${this.#file}: ${this.#path()}: ${what} at byte ${start} declares ${exact} bytes, but the file has ${this.#window.source.size - this.#window.at} left`,
      {
        details: { file: this.#file, offset: start, part: this.#path(), needed: exact },
        hint: 'the file looks incomplete or is not ONNX: download or copy it again',
      },
    );
  }

  #need(length: number): void {
    const left = this.#frame.end - this.#window.at;
    if (length > left) throw this.#malformed(`a value of ${length} bytes where ${left} are left`);
  }

  /** A varint as a number: exact to 2^53, large beyond. */
  #varint(what: string): number {
    this.#read(what, this.#frame.end);
    return this.#window.high * 2 ** 32 + this.#window.low;
  }

  #varint64(end = this.#frame.end): bigint {
    this.#read('a varint', end);
    const { low, high } = this.#window;
    return high === 0 ? BigInt(low) : (BigInt(high) << 32n) | BigInt(low);
  }

  #read(what: string, end: number): void {
    const start = this.#window.at;
    const result = this.#window.varint(end);
    if (result === 'cut') throw this.#cut(what, start);
    if (result === 'long') throw this.#malformed(`${what} is a varint of more than 10 bytes`, start);
  }

  #charge(bytes: number): void {
    this.#kept += bytes;
    if (this.#kept > LIMITS.ONNX_STRUCTURE_BYTES)
      throw new MlserError(
        'E_LIMIT',
        `${this.#file}: the graph without its tensors needs more than ${LIMITS.ONNX_STRUCTURE_BYTES} bytes (ONNX_STRUCTURE_BYTES)`,
        {
          details: { file: this.#file, offset: this.#window.at, limit: 'ONNX_STRUCTURE_BYTES' },
          hint: 'a graph of this size is not a model that we know',
        },
      );
  }

  #path(): string {
    return [...this.#stack, this.#frame].map((frame) => frame.label).join('.');
  }

  #cut(what: string, at: number): MlserError {
    const file = this.#frame.end === this.#window.source.size;
    return new MlserError(
      file ? 'E_TRUNCATED' : 'E_MALFORMED',
      `${this.#file}: ${this.#path()}: ${file ? 'the file' : 'the message'} ends inside ${what} at byte ${at}`,
      {
        details: { file: this.#file, offset: at, part: this.#path() },
        hint: 'the file looks incomplete or is not ONNX: download or copy it again',
      },
    );
  }

  #malformed(what: string, at = this.#window.at): MlserError {
    return malformed(
      `${this.#file}: ${this.#path()}: not a protobuf message: ${what} (byte ${at})`,
      { file: this.#file, offset: at, part: this.#path() },
      'the file is damaged or is not ONNX',
    );
  }
}

function append(target: Target, key: string, value: unknown): void {
  const list = target[key];
  if (list === EMPTY) target[key] = [value];
  else (list as unknown[]).push(value); // made by the line above
}
