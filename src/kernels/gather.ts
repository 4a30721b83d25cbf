import type { ByteSource } from '../io/source.js';

/** One dimension of a strided copy. Strides in elements: `src` in the storage, `out` in the output. */
export interface Dim {
  readonly size: number;
  readonly src: number;
  readonly out: number;
}

/** Bytes staged at a time. */
const STAGE_BYTES = 4 * 1024 * 1024;
/** Unneeded bytes that are cheaper to read than to skip with another call. */
const GAP_BYTES = 16 * 1024;
/** Edge of the square blocks in which staged elements are transposed: both sides stay in the L1 cache. */
const BLOCK = 32;

type Words = Uint8Array | Uint16Array | Uint32Array;

/**
 * Copies the box `dims` (in output order) whose first element is at byte `base` of the source into `out`, which it
 * fills. Reads go forward through the source and are joined where the gaps are small; at most STAGE_BYTES are staged.
 */
export async function gather(
  source: ByteSource,
  base: number,
  dims: readonly Dim[],
  width: number,
  out: Uint8Array,
): Promise<void> {
  // From here on in storage order: the outermost dimension takes the largest steps.
  const sorted = dims.filter((dim) => dim.size > 1).sort((a, b) => b.src - a.src);
  /** Elements from the first to the last of a box of the dimensions from `axis` on. */
  const span = (axis: number): number =>
    sorted.slice(axis).reduce((sum, dim) => sum + (dim.size - 1) * dim.src, 1);
  const fits = (axis: number): boolean => span(axis) * width <= STAGE_BYTES;
  const dense = (axis: number): boolean => ((sorted[axis]?.src ?? 0) - span(axis + 1)) * width <= GAP_BYTES;
  // Dimensions `level` and further in are read as one range.
  let level = sorted.length;
  while (level > 0 && dense(level - 1) && fits(level - 1)) level--;
  const rangeSpan = span(level);
  const inner = sorted.slice(level);
  const split = sorted[level - 1];
  const outer = sorted.slice(0, Math.max(0, level - 1));
  const target = words(out, width);

  if (split === undefined) {
    const stage = words(await source.read(base, rangeSpan * width), width);
    scatter(stage, target, inner, 0, width);
    return;
  }
  // The next dimension is staged some items at a time: in one read where it is dense, else in one read an item.
  const joined = dense(level - 1);
  const most = STAGE_BYTES / width;
  const step = joined ? split.src : rangeSpan;
  const items = Math.max(1, Math.min(split.size, 1 + Math.floor((most - rangeSpan) / Math.max(1, step))));
  for (const at of positions(outer))
    for (let first = 0; first < split.size; first += items) {
      const count = Math.min(items, split.size - first);
      const start = at.src + first * split.src;
      const read = (offset: number, length: number): Promise<Uint8Array> =>
        source.read(base + offset * width, length * width);
      let bytes: Uint8Array;
      if (joined || count === 1) bytes = await read(start, (count - 1) * step + rangeSpan);
      else {
        bytes = new Uint8Array(count * rangeSpan * width);
        for (let item = 0; item < count; item++)
          bytes.set(await read(start + item * split.src, rangeSpan), item * rangeSpan * width);
      }
      const box = [{ size: count, src: step, out: split.out }, ...inner];
      scatter(words(bytes, width), target, box, at.out + first * split.out, width);
    }
}

/** Every index of the outer dimensions, as offsets in elements, in storage order. */
function* positions(dims: readonly Dim[]): Generator<{ src: number; out: number }> {
  const [dim, ...rest] = dims;
  if (dim === undefined) {
    yield { src: 0, out: 0 };
    return;
  }
  for (let i = 0; i < dim.size; i++)
    for (const at of positions(rest)) yield { src: i * dim.src + at.src, out: i * dim.out + at.out };
}

/** Bytes as the widest words that elements of `width` bytes consist of. Words are never turned into floats: NaN bits stay. */
function words(bytes: Uint8Array, width: number): Words {
  const size = Math.min(width, 4);
  const whole = size === 1 || bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  const { buffer, byteOffset, byteLength } = whole;
  if (size === 1) return whole;
  return size === 2
    ? new Uint16Array(buffer, byteOffset, byteLength / 2)
    : new Uint32Array(buffer, byteOffset, byteLength / 4);
}

/** Copies staged elements to their places in the output. */
function scatter(from: Words, to: Words, dims: readonly Dim[], outBase: number, width: number): void {
  const n = width <= 4 ? 1 : width / 4;
  const scaled = dims
    .filter((dim) => dim.size > 1)
    .map(({ size, src, out }) => ({ size, src: src * n, out: out * n }));
  const least = (key: 'src' | 'out'): Dim | undefined =>
    scaled.reduce<Dim | undefined>((best, dim) => (best && best[key] <= dim[key] ? best : dim), undefined);
  const row = least('out') ?? { size: 1, src: n, out: n };
  // The dimension that runs fastest through the staged bytes; broadcast ones (0) gain nothing from blocking.
  const fast = scaled
    .filter((dim) => dim !== row && dim.src > 0 && dim.src < row.src)
    .reduce<Dim | undefined>((best, dim) => (best && best.src <= dim.src ? best : dim), undefined);
  const second = fast ?? scaled.filter((dim) => dim !== row).sort((a, b) => a.out - b.out)[0];
  const rest = scaled.filter((dim) => dim !== row && dim !== second);
  const copy = fast ? transpose : copyRows;
  for (const at of positions(rest)) copy(from, to, at.src, outBase * n + at.out, row, second ?? ONE, n);
}

const ONE: Dim = { size: 1, src: 0, out: 0 };
/** Runs shorter than this are copied faster by a loop than by a call. */
const SHORT_RUN = 32;

function copyRows(from: Words, to: Words, src: number, out: number, row: Dim, rows: Dim, n: number): void {
  const run = row.src === n && row.out === n ? row.size * n : 0;
  for (let r = 0; r < rows.size; r++, src += rows.src, out += rows.out) {
    if (run >= SHORT_RUN) to.set(from.subarray(src, src + run), out);
    else
      for (let i = 0, s = src, o = out; i < row.size; i++, s += row.src, o += row.out)
        for (let k = 0; k < n; k++) to[o + k] = from[s + k] ?? 0;
  }
}

/** Block by block, so that the cache lines of both sides are used up while they are there. */
function transpose(from: Words, to: Words, src: number, out: number, row: Dim, fast: Dim, n: number): void {
  for (let f0 = 0; f0 < fast.size; f0 += BLOCK) {
    const f1 = Math.min(fast.size, f0 + BLOCK);
    for (let r0 = 0; r0 < row.size; r0 += BLOCK) {
      const r1 = Math.min(row.size, r0 + BLOCK);
      for (let f = f0; f < f1; f++) {
        let s = src + f * fast.src + r0 * row.src;
        let o = out + f * fast.out + r0 * row.out;
        for (let r = r0; r < r1; r++, s += row.src, o += row.out)
          if (n === 1) to[o] = from[s] ?? 0;
          else for (let k = 0; k < n; k++) to[o + k] = from[s + k] ?? 0;
      }
    }
  }
}
