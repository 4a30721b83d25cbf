import { type DType, dtypeFacts, elementCount } from '../core/dtype.js';
import type { TensorSource } from '../core/tensor.js';

/** How the runtime reads the bytes of a tensor. */
export interface Reading {
  /** Type that its initializer is given. */
  readonly as: DType;
  readonly elements: number;
  /** Type that is reduced: the type itself, or what its elements are cast to. */
  readonly reduce: 'f32' | 'f64';
  /** Sums of a row are exact in the reduced type. */
  readonly exact: boolean;
  readonly columns: number;
}

/** A row of this many elements is summed at once; sums of rows are added here, in doubles. */
const COLUMNS = 1024;
/** Keeps sums of 16-bit integers below 2^24, where f32 is exact. */
const COLUMNS_16 = 256;

const reading = (
  as: DType,
  elements: number,
  reduce: 'f32' | 'f64',
  exact: boolean,
  columns = COLUMNS,
): Reading => ({
  as,
  elements,
  reduce,
  exact,
  columns,
});

/** Plain bytes: types that the runtime lacks, and values whose least and greatest mean nothing. */
export const asBytes = (tensor: TensorSource): Reading => reading('u8', tensor.byteLength, 'f32', true);

/**
 * How the runtime (1.30) can read a type: f32 and f64 are reduced as they are, the others cast first (Cast knows
 * every float of 8 and 16 bits and every integer). Complex numbers are pairs of floats.
 */
export function readingOf(tensor: TensorSource): Reading {
  const { dtype, shape } = tensor.info;
  const count = elementCount(shape);
  const { kind, bits, block } = dtypeFacts(dtype);
  if (block > 1 || kind === 'string' || kind === 'bool' || bits === 6 || dtype === 'f4_e2m1')
    return asBytes(tensor);
  switch (dtype) {
    case 'c32':
      return reading('f16', count * 2, 'f32', false);
    case 'c64':
      return reading('f32', count * 2, 'f32', false);
    case 'c128':
      return reading('f64', count * 2, 'f64', false);
    case 'f64':
      return reading('f64', count, 'f64', false);
    default:
      if (kind === 'float') return reading(dtype, count, 'f32', false);
      if (bits >= 32) return reading(dtype, count, 'f64', bits === 32);
      return reading(dtype, count, 'f32', true, bits === 16 ? COLUMNS_16 : COLUMNS);
  }
}

/** A contiguous part of a tensor, read as a matrix of `rows` × `columns`. */
export interface Segment {
  /** Place of its tensor in the list that is proved. */
  readonly tensor: number;
  readonly reading: Reading;
  readonly rows: number;
  readonly columns: number;
  /** Bytes into the tensor. */
  readonly start: number;
  readonly bytes: number;
}

/** What is cast needs room for the result, so it goes in smaller parts. */
const SEGMENT_BYTES = 16 * 1024 * 1024;
const CAST_SEGMENT_BYTES = 4 * 1024 * 1024;

/** Rows of full width in parts of bounded size, then what is left over. */
export function segmentsOf(tensor: number, reading: Reading): Segment[] {
  const { as, elements, reduce, columns } = reading;
  const { bits } = dtypeFacts(as);
  const bytesOf = (count: number): number => Math.ceil((count * bits) / 8);
  const limit = as === reduce ? SEGMENT_BYTES : CAST_SEGMENT_BYTES;
  const rowsPerSegment = Math.max(1, Math.floor(limit / bytesOf(columns)));
  const allRows = Math.floor(elements / columns);
  const segments: Segment[] = [];
  for (let row = 0; row < allRows; row += rowsPerSegment) {
    const rows = Math.min(rowsPerSegment, allRows - row);
    const start = bytesOf(row * columns);
    segments.push({ tensor, reading, rows, columns, start, bytes: bytesOf(rows * columns) });
  }
  const rest = elements - allRows * columns;
  const start = bytesOf(allRows * columns);
  if (rest > 0) segments.push({ tensor, reading, rows: 1, columns: rest, start, bytes: bytesOf(rest) });
  return segments;
}

/** Cuts segments into sessions of bounded bytes and bounded size of the graph. */
export function sessionsOf(segments: readonly Segment[], maxBytes: number): Segment[][] {
  const sessions: Segment[][] = [];
  let current: Segment[] = [];
  let bytes = 0;
  for (const segment of segments) {
    if (current.length > 0 && (bytes + segment.bytes > maxBytes || current.length >= 256)) {
      sessions.push(current);
      current = [];
      bytes = 0;
    }
    current.push(segment);
    bytes += segment.bytes;
  }
  if (current.length > 0) sessions.push(current);
  return sessions;
}
