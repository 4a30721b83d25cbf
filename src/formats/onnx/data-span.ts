import type { TensorSource } from '../../core/tensor.js';

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

export const dataFieldName = (field: DataField): string =>
  `${Object.entries(DATA).find(([, id]) => id === field)?.[0] ?? field}_data`;

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
  /** The bytes, if the piece is small or was made in memory. */
  readonly bytes?: Uint8Array;
  /** Where the bytes come from otherwise (a tensor of that many bytes), and always for pieces of a file. */
  readonly content?: TensorSource;
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
