import type { WorkContext } from '../../core/format.js';
import type { TensorSource } from '../../core/tensor.js';
import type { Task, TaskResult } from '../tasks.js';
import { type Readable, withReadable } from './readable.js';
import { ScratchTensors } from './scratch-tensors.js';

/** What the pool makes of tensors, in a scratch file. */
export interface InScratch<Made> {
  /** By the name of the tensor; those that have to be streamed are missing. */
  readonly done: ReadonlyMap<string, Made>;
  /** Their bytes go: to be called when nothing reads them any more. */
  release(): void;
}

/** How jobs become tasks, and what comes of their results. */
export interface ScratchWork<Job, Plan, Made> {
  /** Undefined: it has to be streamed. */
  plan(job: Job, readable: Readable, scratch: ScratchTensors): Plan | undefined;
  made(plan: Plan, results: readonly TaskResult[], scratch: ScratchTensors): Made;
}

/** Does the tasks of all jobs together. Each tensor is read once, unless its tasks read it several times. */
export async function makeInScratch<
  Job extends { readonly tensor: TensorSource },
  Plan extends { readonly tensor: TensorSource; readonly tasks: readonly Task[] },
  Made,
>(
  jobs: readonly Job[],
  { plan, made }: ScratchWork<Job, Plan, Made>,
  context: WorkContext,
): Promise<InScratch<Made>> {
  const scratch = new ScratchTensors();
  const tensors = jobs.map(({ tensor }) => tensor);
  try {
    const done = await withReadable(tensors, context, async (readable) => {
      const plans = jobs.flatMap((job) => plan(job, readable, scratch) ?? []);
      const results = await readable.run(plans.flatMap(({ tasks }) => tasks));
      let at = 0;
      return new Map(
        plans.map((one) => {
          const own = results.slice(at, at + one.tasks.length);
          at += own.length;
          return [one.tensor.info.name, made(one, own, scratch)] as const;
        }),
      );
    });
    return { done, release: () => scratch.release() };
  } catch (error) {
    scratch.release();
    throw error;
  }
}
