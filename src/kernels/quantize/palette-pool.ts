import type { WorkContext } from '../../core/format.js';
import { type CodedJob, type CodedWork, codeInPool, type PooledTensor } from './coded-pool.js';
import type { InScratch } from './in-scratch.js';
import { type PaletteTensor, withTables } from './palette.js';
import type { PaletteSpec } from './palette-fit.js';

export interface PaletteJob extends CodedJob {
  readonly spec: PaletteSpec;
}

const WORK: CodedWork<PaletteJob, PaletteTensor> = {
  task: ({ tensor, spec: { k, axis, block } }, common) => ({
    ...{ ...common, kind: 'palette', dtype: tensor.info.dtype, shape: tensor.info.shape, k },
    ...(axis === undefined ? {} : { axis }),
    ...(block === undefined ? {} : { block }),
  }),
  tensor: ({ tensor, spec, packing }, { tables }) => tables && withTables(tensor, spec, { tables }, packing),
};

/** Tensors as codes of palettes, as `paletteTensor` makes them. */
export const quantizePalettes = (
  jobs: readonly PaletteJob[],
  context: WorkContext,
): Promise<InScratch<PooledTensor<PaletteTensor>>> => codeInPool(jobs, WORK, context);
