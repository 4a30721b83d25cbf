import type { ZeroRule } from '../../core/recipe.js';
import type { ByteRange, TensorSource } from '../../core/tensor.js';
import { Pipeline, runInMemory } from '../pipeline.js';

/** The tensor with zeros where the rule says so; all its zeros are positive. Bytes are computed when they are pulled. */
export function zeroed(tensor: TensorSource, wanted: ZeroRule): TensorSource {
  const rule = wanted.below === 0n ? { ...wanted, below: 1n, tiesBefore: 0 } : wanted;
  const { info, byteLength, role, recipe } = tensor;
  return {
    info,
    byteLength,
    ...(role === undefined ? {} : { role }),
    ...(recipe === undefined ? {} : { recipe: { ...recipe, ops: [...recipe.ops, { op: 'zero', ...rule }] } }),
    stream: (range = { start: 0, end: byteLength }) => streamZeroed(tensor, rule, range),
  };
}

async function* streamZeroed(
  tensor: TensorSource,
  rule: ZeroRule,
  range: ByteRange,
): AsyncGenerator<Uint8Array> {
  const { width } = rule;
  const pipeline = new Pipeline([{ op: 'zero', ...rule }], width * 8);
  // Whole elements of the range.
  const first = Math.floor(range.start / width);
  let skip = range.start - first * width;
  let left = range.end - range.start;
  let at = first;
  let kept = new Uint8Array(0);
  const whole = { start: first * width, end: Math.ceil(range.end / width) * width };
  if (left <= 0) return;
  for await (const chunk of tensor.stream(whole)) {
    const bytes = kept.length === 0 ? chunk : Buffer.concat([kept, chunk]);
    const n = Math.floor(bytes.length / width);
    kept = bytes.slice(n * width);
    const part = runInMemory(pipeline, bytes, n, at).subarray(skip, skip + left);
    at += n;
    skip = 0;
    left -= part.length;
    if (part.length > 0) yield part;
  }
}
