import type { TensorSource } from '../../core/tensor.js';
import { type ByteSource, readChunks } from '../../io/source.js';

/** Numbers of TensorProto's data fields (onnx.proto). */
export const DATA = {
  float: 4,
  int32: 5,
  string: 6,
  int64: 7,
  raw: 9,
  double: 10,
  uint64: 11,
} as const;
export type DataField = (typeof DATA)[keyof typeof DATA];

/** Wire type of the elements of a data field: 0 varint, 1 64-bit, 2 bytes, 5 32-bit. */
export const ELEMENT_WIRE: Readonly<Record<DataField, 0 | 1 | 2 | 5>> = {
  4: 5,
  5: 0,
  6: 2,
  7: 0,
  9: 2,
  10: 1,
  11: 0,
};

const NAMES = new Map<DataField, string>(Object.entries(DATA).map(([name, id]) => [id, `${name}_data`]));
export const dataFieldName = (field: DataField): string => NAMES.get(field) ?? String(field);

/**
 * A piece of a tensor's data as it stands in the protobuf message, without being read.
 * Small pieces carry their bytes; large ones say where they lie.
 */
export interface DataSpan {
  readonly field: DataField;
  /** `payload`: what follows the length (raw or packed). `records`: a run of (tag, value) records of this field. */
  readonly form: 'payload' | 'records';
  /** Records in a run; 1 for a payload. */
  readonly records: number;
  /** Bytes of the payload or of the whole run. */
  readonly length: number;
  /** Bytes of the values in a run of string_data, without tags and lengths. */
  readonly valueBytes?: number;
  /** The bytes, if the piece is small or was made in memory. */
  readonly bytes?: Uint8Array;
  /** Where the piece stands, if it was read from a file. */
  readonly file?: { readonly source: ByteSource; readonly offset: number };
  /** A tensor whose canonical bytes are the piece. */
  readonly content?: TensorSource;
}

/** The bytes of a piece in order, in chunks of any size; a part of it if `start` and `end` are given. */
export async function* spanChunks(span: DataSpan, start = 0, end = span.length): AsyncGenerator<Uint8Array> {
  if (span.bytes) yield span.bytes.slice(start, end);
  else if (span.file) yield* readChunks(span.file.source, span.file.offset + start, span.file.offset + end);
  else if (span.content) yield* span.content.stream({ start, end });
  else if (span.length > 0) throw new Error('a piece of tensor data without its bytes');
}

/** All bytes of a small piece. */
export async function spanBytes(span: DataSpan): Promise<Uint8Array> {
  if (span.bytes) return span.bytes;
  if (span.file) return span.file.source.read(span.file.offset, span.length);
  const all = new Uint8Array(span.length);
  let at = 0;
  for await (const chunk of spanChunks(span)) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all;
}

/** raw_data made in memory. */
export const rawBytes = (bytes: Uint8Array): DataSpan => ({
  field: DATA.raw,
  form: 'payload',
  records: 1,
  length: bytes.byteLength,
  bytes,
});

/** raw_data that is streamed from a tensor's canonical bytes when it is written. */
export const rawContent = (content: TensorSource): DataSpan => ({
  field: DATA.raw,
  form: 'payload',
  records: 1,
  length: content.byteLength,
  content,
});
