import { elementBytes, elementCount, tensorBytes } from '../core/dtype.js';
import { LIMITS } from '../core/limits.js';
import type { Recipe } from '../core/recipe.js';
import {
  type ByteRange,
  rangeTensor,
  type TensorInfo,
  type TensorRole,
  type TensorSource,
} from '../core/tensor.js';
import { MlserError, malformed } from '../errors.js';
import { type ByteSource, CHUNK_BYTES } from '../io/source.js';
import { verifiedSource } from '../io/verified.js';
import { type ElementFix, fixElements, swapWidth } from './element-fix.js';
import { type Dim, gather } from './gather.js';

/** Output gathered at a time; what is read for it is staged in at most a quarter more. */
const WINDOW_BYTES = 16 * 1024 * 1024;
/** The same for sources that have to start again for every window. */
const SEQUENTIAL_WINDOW_BYTES = 64 * 1024 * 1024;

export interface StridedView {
  /** Of the first element in the storage. */
  readonly byteOffset: number;
  /** In elements, one a dimension, 0 (expanded) or more. */
  readonly strides: readonly number[];
}

/**
 * A tensor that is a strided view of a storage, as canonical row-major bytes. Contiguous views are ranges (with
 * location and recipe where the storage lies in a file), others are gathered window by window in bounded memory.
 * `swap`: the storage is big-endian; `negate` and `conjugate` are applied to the values, after the swap.
 * Errors, before anything is allocated: E_MALFORMED (view outside the storage, strides that are no strides),
 * E_LIMIT (VIEW_EXPANSION_BYTES), E_UNSUPPORTED (a gathered view of elements that are not whole bytes).
 */
export function stridedTensor(
  info: TensorInfo,
  storage: ByteSource,
  view: StridedView,
  extra: ElementFix & { role?: TensorRole } = {},
): TensorSource {
  const byteLength = tensorBytes(info.dtype, info.shape, info.name);
  const dims = mergeDims(info, view);
  const contiguous = dims.length === 0 || (dims.length === 1 && dims[0]?.src === 1);
  const width = elementBytes(info.dtype) ?? 0;
  if (width === 0 && !contiguous)
    throw new MlserError(
      'E_UNSUPPORTED',
      `tensor ${JSON.stringify(info.name)}: a strided view of ${info.dtype}`,
      {
        details: { file: storage.name, tensor: info.name },
        hint: 'make the tensor contiguous where it was made',
      },
    );
  checkBounds(info, storage, view, dims, contiguous, byteLength, width);
  const role = extra.role === undefined ? {} : { role: extra.role };
  const fix = swapWidth(info.dtype) === 1 ? { ...extra, swap: false } : extra;
  const whole = view.byteOffset === 0 && byteLength === storage.size;
  const source = contiguous && whole ? storage : verifiedSource(storage);
  if (contiguous) return fixedRange(rangeTensor(info, source, view.byteOffset, role), fix);
  return {
    info,
    byteLength,
    ...role,
    async *stream(range = { start: 0, end: byteLength }) {
      for await (const chunk of windows(source, view.byteOffset, dims, width, range))
        yield fixElements(chunk, info.dtype, fix);
    },
  };
}

/** A contiguous tensor whose elements need byte swapping, negation or conjugation on the way. */
function fixedRange(tensor: TensorSource, fix: ElementFix): TensorSource {
  if (!fix.swap && !fix.negate && !fix.conjugate) return tensor;
  const { location: _, recipe, ...rest } = tensor;
  const { dtype } = tensor.info;
  const width = swapWidth(dtype);
  const swapped: Recipe | undefined =
    recipe && !fix.negate && !fix.conjugate && width !== 1
      ? { ...recipe, ops: [...recipe.ops, { op: 'byteswap', width }] }
      : undefined;
  return {
    ...rest,
    ...(swapped ? { recipe: swapped } : {}),
    async *stream(range) {
      for await (const chunk of tensor.stream(range)) yield fixElements(new Uint8Array(chunk), dtype, fix);
    },
  };
}

/** Dimensions in output order, without those of size 1, and neighbours that are one run joined. */
function mergeDims(info: TensorInfo, view: StridedView): Dim[] {
  const { name, shape } = info;
  if (view.strides.length !== shape.length)
    throw malformed(
      `tensor ${JSON.stringify(name)} has ${shape.length} dimensions but ${view.strides.length} strides`,
      { tensor: name },
    );
  const dims: Dim[] = [];
  if (shape.includes(0)) return dims;
  let out = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const [size, src] = [shape[axis] ?? 0, view.strides[axis] ?? 0];
    if (size === 1) continue; // its stride is free
    if (!Number.isSafeInteger(src) || src < 0)
      throw malformed(`tensor ${JSON.stringify(name)}: stride ${src} of axis ${axis}`, {
        tensor: name,
        axis,
      });
    const inner = dims[0];
    if (inner && src === inner.src * inner.size) dims[0] = { ...inner, size: inner.size * size };
    else dims.unshift({ size, src, out });
    out *= size;
  }
  return dims;
}

function checkBounds(
  info: TensorInfo,
  storage: ByteSource,
  view: StridedView,
  dims: readonly Dim[],
  contiguous: boolean,
  byteLength: number,
  width: number,
): void {
  const { byteOffset } = view;
  const span = dims.reduce((sum, { size, src }) => sum + (size - 1) * src, 1) * width;
  const needed = elementCount(info.shape, info.name) === 0 ? 0 : contiguous ? byteLength : span;
  const end = byteOffset + needed;
  if (byteOffset < 0 || !Number.isSafeInteger(end) || end > storage.size)
    throw malformed(
      `tensor ${JSON.stringify(info.name)} needs bytes ${byteOffset} to ${end} of its storage, which has ${storage.size} bytes`,
      {
        file: storage.name,
        tensor: info.name,
        shape: [...info.shape],
        strides: [...view.strides],
        offset: byteOffset,
        needed: end,
        available: storage.size,
      },
      'the file is damaged or was made to mislead: get it again from its origin',
    );
  if (byteLength > storage.size && byteLength > LIMITS.VIEW_EXPANSION_BYTES)
    throw new MlserError(
      'E_LIMIT',
      `tensor ${JSON.stringify(info.name)} would expand ${storage.size} stored bytes to ${byteLength}; VIEW_EXPANSION_BYTES is ${LIMITS.VIEW_EXPANSION_BYTES}`,
      {
        details: { file: storage.name, tensor: info.name, limit: 'VIEW_EXPANSION_BYTES', needed: byteLength },
      },
    );
}

/** The output bytes of `range` in order, gathered window by window; the caller owns each chunk. */
async function* windows(
  source: ByteSource,
  base: number,
  dims: readonly Dim[],
  width: number,
  range: ByteRange,
): AsyncGenerator<Uint8Array> {
  const most = source.sequential ? SEQUENTIAL_WINDOW_BYTES : WINDOW_BYTES;
  const elements = Math.max(1, Math.floor(Math.min(most, range.end - range.start) / width));
  // Windows are runs along the outermost dimension whose inner block fits one.
  const axis = Math.max(
    0,
    dims.findIndex((dim) => dim.out <= elements),
  );
  const along = dims[axis];
  if (along === undefined || range.end <= range.start) return;
  const rowBytes = along.out * width;
  const lastRow = Math.ceil(range.end / rowBytes);
  const rows = Math.min(along.size, Math.max(1, Math.floor(elements / along.out)));
  const window = new Uint8Array(rows * rowBytes); // used again for every window; what is given away is copied
  for (let row = Math.floor(range.start / rowBytes); row < lastRow; ) {
    const index = row % along.size;
    const count = Math.min(along.size - index, rows, lastRow - row);
    const box = [{ ...along, size: count }, ...dims.slice(axis + 1)];
    const bytes = window.subarray(0, count * rowBytes);
    await gather(source, base + rowOffset(dims.slice(0, axis + 1), row) * width, box, width, bytes);
    const from = Math.max(range.start - row * rowBytes, 0);
    const to = Math.min(range.end - row * rowBytes, bytes.byteLength);
    for (let at = from; at < to; at += CHUNK_BYTES) yield bytes.slice(at, Math.min(at + CHUNK_BYTES, to));
    row += count;
  }
}

/** Storage offset, in elements, of a row of the outer dimensions counted in output order. */
function rowOffset(outer: readonly Dim[], row: number): number {
  let offset = 0;
  for (const { size, src } of [...outer].reverse()) {
    offset += (row % size) * src;
    row = Math.floor(row / size);
  }
  return offset;
}
