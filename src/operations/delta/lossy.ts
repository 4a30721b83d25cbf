import type { LossyMethod, LossyTensor, WorkContext } from '../../core/format.js';
import { type ByteRange, readTensorRange, type TensorSource } from '../../core/tensor.js';
import { chunkBytesFor } from '../../formats/mlck/layout.js';
import { canBeLossy, roundChunk } from '../../kernels/codecs/lossy.js';
import type { Lossy, LossyOptions } from './lossy-words.js';
import { topChanges } from './top-changes.js';

/** What becomes of a tensor, how and against what it is rounded, or why it is not. */
export interface LossyOutcome {
  readonly tensor: TensorSource;
  readonly how?: Lossy;
  readonly base?: TensorSource;
  readonly stored?: LossyTensor;
  readonly kept?: string;
}

/** The tensor as it will be read back, and what the writer needs to know; or why it stays as it is. */
export async function lossyTensor(
  tensor: TensorSource,
  base: TensorSource | undefined,
  { lossy, lossyOptimizer }: LossyOptions,
  context: WorkContext,
): Promise<LossyOutcome> {
  const wanted = isOptimizer(tensor) ? lossyOptimizer : lossy;
  if (!wanted || tensor.byteLength === 0) return { tensor };
  const { dtype } = tensor.info;
  if (!canBeLossy(dtype)) return { tensor, kept: `differences of ${dtype} are not rounded` };
  if (base?.info.dtype !== dtype || base.byteLength !== tensor.byteLength)
    return { tensor, kept: 'the base has no such tensor' };
  const rounding = { how: wanted, base };
  if (typeof wanted !== 'string')
    return { ...rounding, tensor: await topChanges(tensor, base, wanted.topk, context) };
  return {
    ...rounding,
    tensor: roundedTensor(tensor, base, wanted),
    stored: { original: tensor, method: wanted },
  };
}

export const isOptimizer = ({ role, info }: TensorSource): boolean =>
  role === 'optimizer' || (role === undefined && /(^|\.)optim(izer|iser)?s?(\.|_state)/i.test(info.name));

/** Values as they come back, computed chunk by chunk as the codec does. */
function roundedTensor(tensor: TensorSource, base: TensorSource, method: LossyMethod): TensorSource {
  const { info, byteLength, role } = tensor;
  const step = chunkBytesFor(info.dtype);
  return {
    info,
    byteLength,
    ...(role === undefined ? {} : { role }),
    async *stream({ start, end }: ByteRange = { start: 0, end: byteLength }) {
      for (let from = Math.floor(start / step) * step; from < end; from += step) {
        const to = Math.min(byteLength, from + step);
        const next = await readTensorRange(tensor, from, to);
        const rounded = roundChunk(info.dtype, method, next, await readTensorRange(base, from, to));
        yield (rounded?.result ?? next).subarray(Math.max(0, start - from), end - from);
      }
    },
  };
}
