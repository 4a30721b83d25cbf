import type { WorkContext } from '../core/format.js';
import type { TensorSource } from '../core/tensor.js';
import { type Finding, finding } from '../errors.js';
import { overflowOf } from '../kernels/saturate.js';
import { statTensors, type TensorStats } from '../kernels/statistics.js';

/** Whether finite values reach a magnitude. */
export const reaches = ({ min, max }: Pick<TensorStats, 'min' | 'max'>, most: number): boolean =>
  Math.max(-(min ?? 0), max ?? 0) >= most;

/** Which of the tensors have finite values that would become infinite in a float of 16 bits. Reads them. */
export async function outOfRange(
  tensors: readonly TensorSource[],
  dtype: 'f16' | 'bf16',
  context: WorkContext,
): Promise<ReadonlySet<TensorSource>> {
  const stats = await statTensors(tensors, context);
  const most = overflowOf(dtype);
  return new Set(
    tensors.filter((_, i) => {
      const found = stats[i];
      return found !== undefined && reaches(found, most);
    }),
  );
}

export const staysFinding = (name: string, dtype: string): Finding =>
  finding('warning', 'OUT_OF_RANGE', name, `it has values past the largest ${dtype}: it stays as it is`);
