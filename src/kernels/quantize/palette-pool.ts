import type { WorkContext } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';
import { withPool } from '../pool.js';
import { programOf } from '../program.js';
import type { PaletteTask, TaskResult } from '../tasks.js';
import { type LossFigures, lossOf } from './loss.js';
import { type PaletteTensor, withTables } from './palette.js';
import type { PaletteSpec } from './palette-fit.js';
import { ScratchTensors } from './scratch-tensors.js';
import type { Packing } from './values.js';

export interface PaletteJob {
  readonly tensor: TensorSource;
  readonly spec: PaletteSpec;
  readonly packing: Packing;
}

export interface PooledPalette {
  /** Undefined if a value is NaN or infinite. */
  readonly palette?: PaletteTensor;
  readonly loss?: LossFigures;
}

export interface PooledPalettes {
  /** By the name of the tensor; those that have to be streamed are missing. */
  readonly done: ReadonlyMap<string, PooledPalette>;
  /** Their bytes go: to be called when nothing reads them any more. */
  release(): void;
}

/** Tensors that lie in files as f32 as codes of palettes, made by the pool, with their errors counted on the way. */
export async function quantizePalettes(
  jobs: readonly PaletteJob[],
  context: WorkContext,
): Promise<PooledPalettes> {
  const scratch = new ScratchTensors();
  try {
    const plans = jobs.flatMap((job) => {
      const task = taskOf(job, scratch);
      return task ? [{ job, task }] : [];
    });
    const results = await withPool(context, (pool) =>
      pool.run(
        plans.map(({ task }) => task),
        context.signal,
      ),
    );
    const done = new Map(
      plans.map(({ job, task }, i) => [job.tensor.info.name, gathered(job, task, results[i], scratch)]),
    );
    return { done, release: () => scratch.release() };
  } catch (error) {
    scratch.release();
    throw error;
  }
}

function taskOf({ tensor, spec, packing }: PaletteJob, scratch: ScratchTensors): PaletteTask | undefined {
  const { shape, dtype } = tensor.info;
  const program = programOf(tensor);
  if (!program || dtype !== 'f32' || program.count === 0) return undefined;
  if (program.ops.length > 0 || program.coded || program.crc32) return undefined;
  const { k, axis, block } = spec;
  return {
    ...{ kind: 'palette', program, start: 0, end: program.count, shape, k, bits: packing.bits },
    ...(axis === undefined ? {} : { axis }),
    ...(block === undefined ? {} : { block }),
    path: scratch.path,
    codesAt: scratch.place(Math.ceil((program.count * packing.bits) / 8)),
  };
}

function gathered(
  { tensor, spec, packing }: PaletteJob,
  { codesAt, program }: PaletteTask,
  { tables, errors, finite }: TaskResult = {},
  scratch: ScratchTensors,
): PooledPalette {
  if (!finite || !tables || !errors) return {};
  const palette = withTables(tensor, spec, { tables }, packing);
  const codes = scratch.tensor(palette.codes.info, codesAt);
  return { palette: { ...palette, codes }, loss: lossOf([errors], program.count) };
}
