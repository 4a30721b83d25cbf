import { dtypeFacts, elementCount } from '../../core/dtype.js';
import type { WorkContext } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';
import type { RowBlocksTask, TaskResult } from '../tasks.js';
import { type AffineSpec, refitted } from './affine.js';
import { STEP_ELEMENTS } from './f32-source.js';
import { Groups } from './groups.js';
import { type InScratch, makeInScratch } from './in-scratch.js';
import { isSigned } from './integers.js';
import { type LossFigures, lossOf } from './loss.js';
import type { Readable } from './readable.js';
import { ROWS } from './row-blocks-task.js';
import type { ScratchTensors } from './scratch-tensors.js';

export interface RowBlocksJob {
  readonly tensor: TensorSource;
  /** Blocks along the last axis, by the rule `nbits`. */
  readonly spec: AffineSpec;
}

/** Integers with all that belongs to them, in a scratch file. */
export interface RowBlocks {
  /** Integers in the shape of the tensor. */
  readonly codes: TensorSource;
  /** f32. */
  readonly scale: TensorSource;
  /** Absent where all are zero. */
  readonly zeroPoint?: TensorSource;
  readonly dequantized: TensorSource;
}

export interface QuantizedRowBlocks {
  /** Undefined if a value is NaN or infinite. */
  readonly blocks?: RowBlocks;
  readonly loss: LossFigures;
}

/** Elements of a task. */
const TASK_ELEMENTS = 4 << 20;

interface Planned extends RowBlocksJob {
  readonly tasks: readonly RowBlocksTask[];
  /** Of scales and zero points. */
  readonly shape: readonly number[];
}

/** Tensors of f32, f16 or bf16 with a scale for blocks along the last axis, made by the pool in one read. */
export const quantizeRowBlocks = (
  jobs: readonly RowBlocksJob[],
  context: WorkContext,
): Promise<InScratch<QuantizedRowBlocks>> =>
  makeInScratch(jobs.filter(isSuited), { plan: planOf, made: gathered }, context);

/** What the kernel can do. */
function isSuited({ tensor: { info }, spec }: RowBlocksJob): boolean {
  const { dtype, axis, block, rule, scaleType = 'f32' } = spec;
  const columns = info.shape.at(-1) ?? 1;
  if (block === undefined || block % 16 !== 0 || axis !== info.shape.length - 1) return false;
  if (rule !== 'nbits' || scaleType !== 'f32' || columns * ROWS > STEP_ELEMENTS) return false;
  const { bits } = dtypeFacts(dtype);
  return (bits === 2 || bits === 4 || bits === 8) && (columns * bits) % 8 === 0;
}

function planOf(
  { tensor, spec }: RowBlocksJob,
  readable: Readable,
  scratch: ScratchTensors,
): Planned | undefined {
  const { shape } = tensor.info;
  const { dtype, block = 0, symmetric } = spec;
  const columns = shape.at(-1) ?? 1;
  const program = readable.program(tensor);
  if (!program) return undefined;
  const bits = dtypeFacts(dtype).bits as RowBlocksTask['bits'];
  const groups = new Groups(shape, spec);
  const common: Omit<RowBlocksTask, 'start' | 'end'> = {
    ...{ kind: 'row-blocks', program, columns, bits, block, symmetric, signed: isSigned(dtype) },
    path: scratch.path,
    codesAt: scratch.place((program.count * bits) / 8),
    scalesAt: scratch.place(groups.count * 4),
    zerosAt: scratch.place(Math.ceil((groups.count * bits) / 8)),
  };
  const step = Math.max(ROWS, Math.floor(TASK_ELEMENTS / columns / ROWS) * ROWS) * columns;
  const tasks: RowBlocksTask[] = [];
  for (let start = 0; start < program.count; start += step)
    tasks.push({ ...common, start, end: Math.min(program.count, start + step) });
  return { tensor, spec, tasks, shape: groups.shape };
}

function gathered(
  { tensor, spec, tasks, shape }: Planned,
  results: readonly TaskResult[],
  scratch: ScratchTensors,
): QuantizedRowBlocks {
  const { info } = tensor;
  const errors = results.flatMap((result) => result.errors ?? []);
  const loss = lossOf(errors, elementCount(info.shape));
  const [task] = tasks;
  if (!loss.finite || !task) return { loss };
  const { name } = info;
  const { dtype } = spec;
  const blocks: RowBlocks = {
    codes: scratch.tensor({ name, dtype, shape: info.shape }, task.codesAt),
    scale: scratch.tensor({ name, dtype: 'f32', shape }, task.scalesAt),
    ...(results.every(({ zeroed }) => zeroed)
      ? {}
      : { zeroPoint: scratch.tensor({ name, dtype, shape }, task.zerosAt) }),
    dequantized: refitted(tensor, spec),
  };
  return { blocks, loss };
}
