import { type DType, dtypeFacts, elementCount, tensorBytes } from '../../core/dtype.js';
import type { ByteRange, TensorSource } from '../../core/tensor.js';
import { castTensor } from '../cast.js';
import { GROUP } from '../pipeline.js';
import { viewAs } from '../views.js';

/** Elements [start, end) of a tensor as f32, in order, in pieces that begin on multiples of GROUP. */
export async function* f32Values(
  tensor: TensorSource,
  start = 0,
  end = elementCount(tensor.info.shape),
): AsyncGenerator<{ readonly at: number; readonly values: Float32Array }> {
  let at = start;
  let kept = new Uint8Array(0);
  if (start >= end) return;
  for await (const chunk of castTensor(tensor, 'f32').stream({ start: start * 4, end: end * 4 })) {
    const bytes = kept.length === 0 ? chunk : Buffer.concat([kept, chunk]);
    const whole = Math.floor(bytes.length / 4);
    const n = at + whole >= end ? end - at : Math.floor(whole / GROUP) * GROUP;
    kept = bytes.slice(n * 4);
    if (n > 0) yield { at, values: viewAs(Float32Array, bytes, n) };
    at += n;
  }
}

/** What elements are stored as: so many bits each, without gaps. */
export interface Packing {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly bits: number;
}

/**
 * A tensor of the same shape whose elements are computed from the f32 values of another, when they are pulled: `fill`
 * writes the packed elements of a piece that begins at element `at`.
 */
export const mapped = (
  tensor: TensorSource,
  dtype: DType,
  fill: (values: Float32Array, at: number) => Uint8Array,
): TensorSource => mappedAs(tensor, { dtype, shape: tensor.info.shape, bits: dtypeFacts(dtype).bits }, fill);

/** The same where type and shape are only what the elements lie in: codes of 3 bits in a tensor of bytes. */
export function mappedAs(
  tensor: TensorSource,
  { dtype, shape, bits }: Packing,
  fill: (values: Float32Array, at: number) => Uint8Array,
): TensorSource {
  const { name } = tensor.info;
  const byteLength = tensorBytes(dtype, shape, name);
  return {
    info: { name, dtype, shape },
    byteLength,
    ...(tensor.role === undefined ? {} : { role: tensor.role }),
    stream: (range = { start: 0, end: byteLength }) => streamMapped(tensor, bits, fill, range),
  };
}

async function* streamMapped(
  tensor: TensorSource,
  bits: number,
  fill: (values: Float32Array, at: number) => Uint8Array,
  range: ByteRange,
): AsyncGenerator<Uint8Array> {
  const count = elementCount(tensor.info.shape);
  // Elements of the range, widened to groups that fill whole bytes.
  const first = Math.floor((range.start * 8) / bits / GROUP) * GROUP;
  const atEnd = range.end >= Math.ceil((count * bits) / 8);
  const last = atEnd ? count : Math.min(count, Math.ceil((range.end * 8) / bits / GROUP) * GROUP);
  let skip = range.start - (first * bits) / 8;
  let left = range.end - range.start;
  for await (const { at, values } of f32Values(tensor, first, last)) {
    const part = fill(values, at).subarray(skip, skip + left);
    skip = 0;
    left -= part.length;
    if (part.length > 0) yield part;
  }
}
