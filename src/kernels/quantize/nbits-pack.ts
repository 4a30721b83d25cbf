import { dtypeFacts, tensorBytes } from '../../core/dtype.js';
import type { ByteRange, TensorSource } from '../../core/tensor.js';
import { codesOf } from '../elements.js';
import { GROUP } from '../pipeline.js';

/** What a pass over the matrix may hold of the packed output. */
const WINDOW_BYTES = 64 << 20;

/**
 * Integers of a K × N matrix (`u2`, `u4`, `u8`) as MatMulNBits wants them: N rows of blocks of `block` integers along K,
 * low bits first, `u8` [N, ceil(K / block), block · bits / 8]. The end of a short block is zero. The matrix is streamed
 * once for each 64 MiB of output.
 */
export function packedBlocks(codes: TensorSource, block: number): TensorSource {
  const { name, shape, dtype } = codes.info;
  const [k = 0, n = 0] = shape;
  const { bits } = dtypeFacts(dtype);
  const out = [n, Math.ceil(k / block), (block * bits) / 8];
  const byteLength = tensorBytes('u8', out, name);
  const rowBytes = n === 0 ? 0 : byteLength / n;
  return {
    info: { name, dtype: 'u8', shape: out },
    byteLength,
    async *stream(range = { start: 0, end: byteLength }) {
      if (range.start >= range.end) return;
      const last = Math.ceil(range.end / rowBytes);
      const step = Math.max(1, Math.floor(WINDOW_BYTES / rowBytes));
      for (let row = Math.floor(range.start / rowBytes); row < last; row += step) {
        const rows = Math.min(step, last - row);
        const window = await packWindow(codes, row, rows, rowBytes);
        yield within(window, row * rowBytes, range);
      }
    },
  };
}

/** The part of bytes that begin at `at` which lies in a range. */
const within = (bytes: Uint8Array, at: number, { start, end }: ByteRange): Uint8Array =>
  bytes.subarray(Math.max(0, start - at), Math.min(bytes.length, end - at));

/** Columns [first, first + columns) of the matrix as rows of the output. */
async function packWindow(
  codes: TensorSource,
  first: number,
  columns: number,
  rowBytes: number,
): Promise<Uint8Array> {
  const { dtype, shape } = codes.info;
  const [k = 0, n = 0] = shape;
  const { bits } = dtypeFacts(dtype);
  const perByte = 8 / bits;
  const window = new Uint8Array(columns * rowBytes);
  const total = k * n;
  let at = 0;
  let kept = new Uint8Array(0);
  for await (const chunk of codes.stream()) {
    const bytes = kept.length === 0 ? chunk : Buffer.concat([kept, chunk]);
    const whole = (bytes.length * 8) / bits;
    const count = at + whole >= total ? total - at : Math.floor(whole / GROUP) * GROUP;
    kept = bytes.slice((count * bits) / 8);
    const values = codesOf(dtype, bytes, count);
    for (let i = 0; i < count; ) {
      const row = Math.floor((at + i) / n);
      const column = at + i - row * n;
      const end = Math.min(count, i + n - column);
      // Of this piece of a row, the columns of the window.
      const from = Math.max(column, first);
      const to = Math.min(column + end - i, first + columns);
      // Blocks are whole bytes and follow each other without gaps.
      const place = Math.floor(row / perByte);
      const shift = (row % perByte) * bits;
      for (let c = from, to8 = (from - first) * rowBytes + place; c < to; c++, to8 += rowBytes)
        window[to8] = (window[to8] ?? 0) | ((values[i + c - column] ?? 0) << shift);
      i = end;
    }
    at += count;
  }
  return window;
}

/** Scales or zero points of blocks × N as N × blocks. */
export function transposed(values: ArrayLike<number>, blocks: number, n: number): Float64Array {
  const out = new Float64Array(blocks * n);
  for (let b = 0; b < blocks; b++) for (let i = 0; i < n; i++) out[i * blocks + b] = values[b * n + i] ?? 0;
  return out;
}

/** Zero points, N × blocks, in rows of whole bytes; the ends of rows are filled with the middle of the integers. */
export function packedZeros(zeros: Float64Array, blocks: number, bits: number): Uint8Array {
  const perByte = 8 / bits;
  const n = blocks === 0 ? 0 : zeros.length / blocks;
  const rowBytes = Math.ceil(blocks / perByte);
  const middle = bits === 8 ? 0 : 2 ** (bits - 1);
  const out = new Uint8Array(n * rowBytes);
  for (let row = 0; row < n; row++)
    for (let b = 0; b < rowBytes * perByte; b++) {
      const zero = b < blocks ? (zeros[row * blocks + b] ?? 0) : middle;
      const at = row * rowBytes + Math.floor(b / perByte);
      out[at] = (out[at] ?? 0) | (zero << ((b % perByte) * bits));
    }
  return out;
}
