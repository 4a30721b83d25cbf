import type { WorkContext } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';
import type { CodesTask, Task, TaskResult } from '../tasks.js';
import type { CodedTensor } from './codes.js';
import { type InScratch, makeInScratch } from './in-scratch.js';
import { type LossFigures, lossOf } from './loss.js';
import type { Readable } from './readable.js';
import type { ScratchTensors } from './scratch-tensors.js';
import type { Packing } from './values.js';

export interface CodedJob {
  readonly tensor: TensorSource;
  readonly packing: Packing;
}

export interface PooledTensor<T extends CodedTensor> {
  /** Undefined if a value is NaN or infinite. */
  readonly coded?: T;
  readonly loss?: LossFigures;
}

/** How jobs become tasks, and what their results say about a tensor. */
export interface CodedWork<J extends CodedJob, T extends CodedTensor> {
  task(job: J, common: CodesTask): Task;
  /** Undefined if something is missing from the result. */
  tensor(job: J, result: TaskResult): T | undefined;
}

/** Tensors of f32, f16 or bf16 as codes, made by the pool into a scratch file, with their errors counted on the way. */
export const codeInPool = <J extends CodedJob, T extends CodedTensor>(
  jobs: readonly J[],
  work: CodedWork<J, T>,
  context: WorkContext,
): Promise<InScratch<PooledTensor<T>>> =>
  makeInScratch(
    jobs,
    {
      plan(job, readable, scratch) {
        const common = commonOf(job, readable, scratch);
        return common && { job, common, tensor: job.tensor, tasks: [work.task(job, common)] };
      },
      made: ({ job, common }, [result = {}], scratch) => gathered(job, common, result, work, scratch),
    },
    context,
  );

function commonOf(
  { tensor, packing: { bits } }: CodedJob,
  readable: Readable,
  scratch: ScratchTensors,
): CodesTask | undefined {
  const program = readable.program(tensor);
  if (!program) return undefined;
  const codesAt = scratch.place(Math.ceil((program.count * bits) / 8));
  return { program, start: 0, end: program.count, bits, path: scratch.path, codesAt };
}

function gathered<J extends CodedJob, T extends CodedTensor>(
  job: J,
  { codesAt, program }: CodesTask,
  result: TaskResult,
  work: CodedWork<J, T>,
  scratch: ScratchTensors,
): PooledTensor<T> {
  const coded = result.finite && result.errors ? work.tensor(job, result) : undefined;
  if (!coded || !result.errors) return {};
  const codes = scratch.tensor(coded.codes.info, codesAt);
  return { coded: { ...coded, codes }, loss: lossOf([result.errors], program.count) };
}
