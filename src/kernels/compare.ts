import { elementCount } from '../core/dtype.js';
import type { WorkContext } from '../core/format.js';
import { readTensor, type TensorSource } from '../core/tensor.js';
import { decodeElements, isNumeric } from './elements.js';

export interface TensorPair {
  readonly a: TensorSource;
  readonly b: TensorSource;
}

/**
 * How two tensors of one shape differ; `a` is the reference. Errors are over pairs of finite values; a pair with
 * a NaN or infinity on one side only makes `maxAbs` and `maxRel` infinite. Elements that are no numbers (strings,
 * GGML blocks) are compared as bytes and their errors are NaN.
 */
export interface TensorDifference {
  /** Same type: bit for bit. Different types: the same numbers (NaN equals NaN). */
  readonly equal: boolean;
  /** Elements that differ (bits, or numbers where the types differ). */
  readonly changed: number;
  /** changed ÷ elements, 0 for empty tensors. */
  readonly changedFraction: number;
  /** Largest |a − b|. */
  readonly maxAbs: number;
  /** Largest |a − b| ÷ |a| over the elements with a ≠ 0. */
  readonly maxRel: number;
  /** √(mean (a − b)²). */
  readonly rmse: number;
  /** 10·log10(Σa² ÷ Σ(a − b)²); null where there is no error or no signal. */
  readonly sqnrDb: number | null;
  /** Σab ÷ √(Σa²·Σb²); null where a side is all zeros. */
  readonly cosine: number | null;
}

/** The differences of pairs of tensors of equal shapes, in order. */
export async function compareTensors(
  pairs: readonly TensorPair[],
  context: WorkContext,
): Promise<TensorDifference[]> {
  const all: TensorDifference[] = [];
  for (const { a, b } of pairs) {
    all.push(await compareOne(a, b));
    context.progress.advance(a.byteLength + b.byteLength);
  }
  return all;
}

async function compareOne(a: TensorSource, b: TensorSource): Promise<TensorDifference> {
  const count = elementCount(a.info.shape);
  const [left, right] = [await readTensor(a), await readTensor(b)];
  const same = a.info.dtype === b.info.dtype && Buffer.compare(left, right) === 0;
  if (same)
    return {
      equal: true,
      changed: 0,
      changedFraction: 0,
      maxAbs: 0,
      maxRel: 0,
      rmse: 0,
      sqnrDb: null,
      cosine: 1,
    };
  if (!isNumeric(a.info.dtype) || !isNumeric(b.info.dtype))
    return {
      equal: false,
      changed: count,
      changedFraction: 1,
      maxAbs: NaN,
      maxRel: NaN,
      rmse: NaN,
      sqnrDb: null,
      cosine: null,
    };
  const x = new Float64Array(count);
  const y = new Float64Array(count);
  decodeElements(a.info.dtype, left, count, x);
  decodeElements(b.info.dtype, right, count, y);
  let [changed, maxAbs, maxRel, error, aa, bb, ab] = [0, 0, 0, 0, 0, 0, 0];
  for (let i = 0; i < count; i++) {
    const p = x[i] ?? 0;
    const q = y[i] ?? 0;
    if (p === q || (Number.isNaN(p) && Number.isNaN(q))) continue;
    changed++;
    if (!Number.isFinite(p) || !Number.isFinite(q)) {
      maxAbs = Infinity;
      maxRel = Infinity;
      continue;
    }
    const d = Math.abs(p - q);
    maxAbs = Math.max(maxAbs, d);
    if (p !== 0) maxRel = Math.max(maxRel, d / Math.abs(p));
    error += d * d;
  }
  for (let i = 0; i < count; i++) {
    const p = x[i] ?? 0;
    const q = y[i] ?? 0;
    if (!Number.isFinite(p) || !Number.isFinite(q)) continue;
    aa += p * p;
    bb += q * q;
    ab += p * q;
  }
  return {
    equal: changed === 0 && a.info.dtype !== b.info.dtype,
    changed,
    changedFraction: changed / count,
    maxAbs,
    maxRel,
    rmse: Math.sqrt(error / count),
    sqnrDb: error === 0 || aa === 0 ? null : 10 * Math.log10(aa / error),
    cosine: aa === 0 || bb === 0 ? null : ab / Math.sqrt(aa * bb),
  };
}
