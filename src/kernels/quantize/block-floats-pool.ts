import type { WorkContext } from '../../core/format.js';
import { type BlockFloat, type BlockFloatTensor, withScales } from './block-floats.js';
import { type CodedJob, type CodedWork, codeInPool, type PooledTensors } from './coded-pool.js';

export interface BlockFloatJob extends CodedJob {
  readonly format: BlockFloat;
}

const WORK: CodedWork<BlockFloatJob, BlockFloatTensor> = {
  task: ({ format: { id, block } }, common) => ({ ...common, kind: 'block-floats', format: id, block }),
  tensor: ({ tensor, format, packing }, { scales }) => scales && withScales(tensor, format, scales, packing),
};

/** Tensors as 4-bit floats, as `blockFloats` makes them. */
export const quantizeBlockFloats = (
  jobs: readonly BlockFloatJob[],
  context: WorkContext,
): Promise<PooledTensors<BlockFloatTensor>> => codeInPool(jobs, WORK, context);
