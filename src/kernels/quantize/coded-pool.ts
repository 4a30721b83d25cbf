import type { WorkContext } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';
import type { CodesTask, Task, TaskResult } from '../tasks.js';
import type { CodedTensor } from './codes.js';
import { type LossFigures, lossOf } from './loss.js';
import { type Readable, withReadable } from './readable.js';
import { ScratchTensors } from './scratch-tensors.js';
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

export interface PooledTensors<T extends CodedTensor> {
  /** By the name of the tensor; those that have to be streamed are missing. */
  readonly done: ReadonlyMap<string, PooledTensor<T>>;
  /** Their bytes go: to be called when nothing reads them any more. */
  release(): void;
}

/** How jobs become tasks, and what their results say about a tensor. */
export interface CodedWork<J extends CodedJob, T extends CodedTensor> {
  task(job: J, common: CodesTask): Task;
  /** Undefined if something is missing from the result. */
  tensor(job: J, result: TaskResult): T | undefined;
}

/** Tensors of f32, f16 or bf16 as codes, made by the pool into a scratch file, with their errors counted on the way. */
export async function codeInPool<J extends CodedJob, T extends CodedTensor>(
  jobs: readonly J[],
  work: CodedWork<J, T>,
  context: WorkContext,
): Promise<PooledTensors<T>> {
  const scratch = new ScratchTensors();
  try {
    const done = await withReadable(
      jobs.map(({ tensor }) => tensor),
      context,
      async (readable) => {
        const plans = jobs.flatMap((job) => {
          const common = commonOf(job, readable, scratch);
          return common ? [{ job, common }] : [];
        });
        const results = await readable.run(plans.map(({ job, common }) => work.task(job, common)));
        return new Map(
          plans.map(
            ({ job, common }, i) =>
              [job.tensor.info.name, gathered(job, common, results[i] ?? {}, work, scratch)] as const,
          ),
        );
      },
    );
    return { done, release: () => scratch.release() };
  } catch (error) {
    scratch.release();
    throw error;
  }
}

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
