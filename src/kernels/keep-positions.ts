import { elementBytes } from '../core/dtype.js';
import { type ByteRange, readTensorRange, type TensorSource } from '../core/tensor.js';

/** Bytes of the source that are read at a time, in whole rows where these are short. */
const STEP_BYTES = 4 << 20;

/** Bytes of a row that stay, one after the other. */
interface Run {
  readonly from: number;
  readonly length: number;
}

/**
 * The tensor with some positions of an axis, in ascending order, and without the others. Nothing is read before it is
 * pulled, and then only a few MiB at a time.
 */
export function keepPositions(tensor: TensorSource, axis: number, kept: readonly number[]): TensorSource {
  const { dtype, shape, name } = tensor.info;
  const width = elementBytes(dtype);
  if (width === undefined) throw new Error(`${name}: elements of less than a byte cannot be taken apart`);
  const product = (sizes: readonly number[]): number => sizes.reduce((all, size) => all * size, 1);
  const inner = width * product(shape.slice(axis + 1));
  const row = inner * (shape[axis] ?? 1);
  const rows = product(shape.slice(0, axis));
  const keptRow = inner * kept.length;
  const runs = runsOf(kept, inner);
  const byteLength = rows * keptRow;
  return {
    info: { name, dtype, shape: shape.map((size, i) => (i === axis ? kept.length : size)) },
    byteLength,
    ...(tensor.role === undefined ? {} : { role: tensor.role }),
    async *stream({ start, end }: ByteRange = { start: 0, end: byteLength }) {
      if (start >= end) return;
      const first = Math.floor(start / keptRow);
      let at = first * keptRow;
      for await (const chunk of chunksOf(tensor, { first, rows, row, runs, keptRow })) {
        const [from, to] = [Math.max(0, start - at), Math.min(chunk.byteLength, end - at)];
        if (from < to) yield chunk.subarray(from, to);
        at += chunk.byteLength;
        if (at >= end) return;
      }
    },
  };
}

/** Neighbours that stay are copied together. */
function runsOf(kept: readonly number[], inner: number): readonly Run[] {
  const runs: { from: number; length: number }[] = [];
  for (const position of kept) {
    const last = runs.at(-1);
    if (last && last.from + last.length === position * inner) last.length += inner;
    else runs.push({ from: position * inner, length: inner });
  }
  return runs;
}

interface Layout {
  readonly first: number;
  readonly rows: number;
  readonly row: number;
  readonly runs: readonly Run[];
  readonly keptRow: number;
}

/** What stays of the rows from the first one on. */
async function* chunksOf(
  tensor: TensorSource,
  { first, rows, row, runs, keptRow }: Layout,
): AsyncGenerator<Uint8Array> {
  if (row > STEP_BYTES) {
    for (let at = first; at < rows; at++)
      for (const { from, length } of runs)
        yield* tensor.stream({ start: at * row + from, end: at * row + from + length });
    return;
  }
  const step = Math.max(1, Math.floor(STEP_BYTES / row));
  for (let at = first; at < rows; at += step) {
    const count = Math.min(step, rows - at);
    const bytes = await readTensorRange(tensor, at * row, (at + count) * row);
    const out = new Uint8Array(count * keptRow);
    let to = 0;
    for (let i = 0; i < count; i++)
      for (const { from, length } of runs) {
        out.set(bytes.subarray(i * row + from, i * row + from + length), to);
        to += length;
      }
    yield out;
  }
}
