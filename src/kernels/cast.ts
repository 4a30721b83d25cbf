import { type DType, dtypeFacts, elementCount, tensorBytes } from '../core/dtype.js';
import type { KernelOp } from '../core/recipe.js';
import type { ByteRange, TensorSource } from '../core/tensor.js';
import { MlserError } from '../errors.js';
import { isNumeric } from './elements.js';
import { GROUP, Pipeline, runInMemory } from './pipeline.js';

/**
 * Whether elements can be converted one by one: floats, integers and booleans, in every combination.
 * Complex numbers, strings and GGML blocks cannot.
 */
export const canCast = (from: DType, to: DType): boolean => from === to || (isNumeric(from) && isNumeric(to));

/**
 * The tensor with its elements converted. Into floats: rounded once to nearest, ties to even; what overflows
 * becomes infinity (f16, bf16, f8_e5m2), the largest value (f8_e4m3fn, f6, f4) or NaN (fnuz, e8m0), as torch and
 * ml_dtypes have it. Into integers: towards zero, saturated, NaN is 0. Into booleans: 1 unless zero.
 * Bytes are computed when they are pulled. E_UNSUPPORTED where `canCast` is false.
 */
export function castTensor(tensor: TensorSource, to: DType): TensorSource {
  const { name, dtype: from, shape } = tensor.info;
  if (from === to) return tensor;
  if (!canCast(from, to))
    throw new MlserError('E_UNSUPPORTED', `${name}: ${from} cannot be converted to ${to}`, {
      details: { tensor: name, from, to },
      hint: 'only floats, integers and booleans are converted: leave this tensor out with --exclude',
    });
  const count = elementCount(shape, name);
  const byteLength = tensorBytes(to, shape, name);
  return {
    info: { name, dtype: to, shape },
    byteLength,
    ...(tensor.role === undefined ? {} : { role: tensor.role }),
    ...(tensor.recipe === undefined
      ? {}
      : { recipe: { ...tensor.recipe, ops: [...tensor.recipe.ops, { op: 'cast', from, to }] } }),
    stream: (range = { start: 0, end: byteLength }) =>
      streamThrough(
        tensor,
        [{ op: 'cast', from, to }],
        { inBits: dtypeFacts(from).bits, outBits: dtypeFacts(to).bits },
        count,
        range,
      ),
  };
}

/** Bytes of a range of a tensor of `count` elements that some steps make of another, which is pulled as a stream. */
export async function* streamThrough(
  tensor: TensorSource,
  ops: readonly KernelOp[],
  { inBits, outBits }: { readonly inBits: number; readonly outBits: number },
  count: number,
  range: ByteRange,
): AsyncGenerator<Uint8Array> {
  const bytesOf = (bits: number, elements: number): number => Math.ceil((elements * bits) / 8);
  const total = bytesOf(outBits, count);
  const pipeline = new Pipeline(ops, inBits);
  if (range.start >= range.end) return;
  // Elements of the range, widened to groups that fill whole bytes on both sides.
  const first = Math.floor((range.start * 8) / outBits / GROUP) * GROUP;
  const last =
    range.end >= total ? count : Math.min(count, Math.ceil((range.end * 8) / outBits / GROUP) * GROUP);
  let skip = range.start - (first * outBits) / 8;
  let left = range.end - range.start;
  let done = first;
  let kept = new Uint8Array(0);
  for await (const chunk of tensor.stream({ start: (first * inBits) / 8, end: bytesOf(inBits, last) })) {
    const bytes = kept.length === 0 ? chunk : Buffer.concat([kept, chunk]);
    const whole = Math.floor((bytes.length * 8) / inBits);
    const n = done + whole >= last ? last - done : Math.floor(whole / GROUP) * GROUP;
    kept = bytes.slice((n * inBits) / 8);
    if (n === 0) continue;
    const out = runInMemory(pipeline, bytes, n, done);
    done += n;
    const part = out.subarray(skip, skip + left);
    skip = 0;
    left -= part.length;
    if (part.length > 0) yield part;
  }
}
