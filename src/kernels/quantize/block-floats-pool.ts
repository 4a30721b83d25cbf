import type { WorkContext } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';
import { type BlockFloat, type BlockFloatTensor, withScales } from './block-floats.js';
import { type CodedJob, type CodedWork, codeInPool, type PooledTensor } from './coded-pool.js';
import type { InScratch } from './in-scratch.js';

export interface BlockFloatJob extends CodedJob {
  readonly format: BlockFloat;
  /** The matrix with its axes turned, if it is coded in that order: `packing` is of this one. */
  readonly turned?: TensorSource;
}

const WORK: CodedWork<BlockFloatJob, BlockFloatTensor> = {
  task({ tensor, format: { id, block }, turned }, common) {
    const [rows = 0, columns = 0] = tensor.info.shape;
    return {
      ...{ ...common, kind: 'block-floats', format: id, block },
      ...(turned ? { turned: [rows, columns] } : {}),
    };
  },
  tensor: ({ tensor, format, packing, turned = tensor }, { scales }) =>
    scales && withScales(turned, format, scales, packing),
};

/** Tensors as 4-bit floats, as `blockFloats` makes them. */
export const quantizeBlockFloats = (
  jobs: readonly BlockFloatJob[],
  context: WorkContext,
): Promise<InScratch<PooledTensor<BlockFloatTensor>>> => codeInPool(jobs, WORK, context);
