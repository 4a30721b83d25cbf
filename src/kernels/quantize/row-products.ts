import { arena } from '../wasm.js';

/** Rows of a matrix in an array: row i begins at `first + i · step`. */
export interface Rows {
  readonly values: Float64Array;
  readonly first: number;
  readonly step: number;
  readonly count: number;
}

/** Of a row, so much is multiplied at a time. */
const LENGTH = 1024;
/** Rows that fit into an area of the arena with that length: 64 · 1024 · 8 bytes are 512 KiB, 256 rows 2 MiB. */
export const MOST_ROWS = 256;

/** Σ a[i, k]·b[j, k] over k < length for all rows, a.count × b.count: at most MOST_ROWS each. */
export function rowProducts(a: Rows, b: Rows, length: number): Float64Array {
  const { kernels, codec } = arena();
  const [left, right, sums] = codec.areas;
  if (!left || !right || !sums) throw new Error('the arena has too few areas');
  const rowsA = Math.ceil(a.count / 4) * 4;
  const rowsB = Math.ceil(b.count / 2) * 2;
  const out = new Float64Array(sums.bytes.buffer, sums.bytes.byteOffset, rowsA * rowsB).fill(0);
  for (let from = 0; from < length; from += LENGTH) {
    const part = Math.min(LENGTH, length - from);
    const even = Math.ceil(part / 2) * 2;
    put(a, from, part, even, left.bytes);
    put(b, from, part, even, right.bytes);
    kernels.addProducts(left.at, rowsA, right.at, rowsB, even, sums.at);
  }
  if (rowsB === b.count) return out.slice(0, a.count * b.count);
  const kept = new Float64Array(a.count * b.count);
  for (let i = 0; i < a.count; i++) kept.set(out.subarray(i * rowsB, i * rowsB + b.count), i * b.count);
  return kept;
}

/** Parts of rows one after the other, filled up with a zero to an even length. Rows after them have any values. */
function put(
  { values, first, step, count }: Rows,
  from: number,
  length: number,
  even: number,
  bytes: Uint8Array,
): void {
  const area = new Float64Array(bytes.buffer, bytes.byteOffset, count * even);
  for (let i = 0; i < count; i++) {
    const at = first + i * step + from;
    area.set(values.subarray(at, at + length), i * even);
    if (even > length) area[i * even + length] = 0;
  }
}
