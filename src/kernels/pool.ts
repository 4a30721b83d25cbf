import { setImmediate } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import type { WorkContext } from '../core/format.js';
import type { Rides } from '../core/shared-work.js';
import { type Batch, bytesOf, plainBatches, tasksOf } from './batches.js';
import { executeBatch } from './execute.js';

import { errorOf, type FromWorker, interrupted, type ToWorker, type WorkerSetup } from './messages.js';
import { poolWorker } from './start-workers.js';
import { codedOf, type Task, type TaskResult } from './tasks.js';
import { Workplace } from './workplace.js';

/** Starting a worker costs about 30 ms: less than this is done on the main thread in that time. */
const PARALLEL_BYTES = 64 << 20;
/** Batches a worker is given ahead, so that it never waits for the main thread. */
const AHEAD = 2;
/** How often progress is told, and how long the main thread works before it lets others in. */
const TICK_MS = 50;

/** Who does tasks. */
export interface Pool {
  /** The results in the order of the tasks. Rejects with the error of a task, or E_INTERRUPTED on `signal`. */
  run(tasks: readonly Task[], signal?: AbortSignal): Promise<TaskResult[]>;
}

/** Does tasks: on this thread if they are little, else in up to `context.threads` workers, started when needed. */
class WorkerPool implements Pool {
  readonly #context: WorkContext;
  readonly #setup: WorkerSetup = { stop: new SharedArrayBuffer(4), done: new SharedArrayBuffer(8) };
  readonly #workers: Worker[] = [];
  #told = 0;

  constructor(context: WorkContext) {
    this.#context = context;
  }

  run(tasks: readonly Task[], signal?: AbortSignal): Promise<TaskResult[]> {
    return this.runBatches(plainBatches(tasks), signal);
  }

  /** The same, batch by batch. */
  async runBatches(batches: readonly Batch[], signal?: AbortSignal): Promise<TaskResult[]> {
    if (signal?.aborted) throw interrupted();
    const bytes = batches.reduce((sum, batch) => sum + bytesOf(batch), 0);
    if (this.#context.threads <= 1 || bytes < PARALLEL_BYTES) return this.#runHere(batches, signal);
    return this.#runInWorkers(batches, signal);
  }

  /** Stops the workers. Nothing is written any more once it resolves. */
  async close(): Promise<void> {
    Atomics.store(new Int32Array(this.#setup.stop), 0, 1);
    await Promise.all(this.#workers.splice(0).map((worker) => worker.terminate()));
  }

  async #runHere(batches: readonly Batch[], signal: AbortSignal | undefined): Promise<TaskResult[]> {
    const coded = batches.flatMap(tasksOf).flatMap(codedOf);
    if (coded.length > 0) await (await import('./codecs/index.js')).loadCodecsFor(coded);
    const place = new Workplace();
    const results: TaskResult[] = [];
    let rested = performance.now();
    try {
      for (const batch of batches) {
        const running = executeBatch(batch, place);
        for (let step = running.next(); ; step = running.next()) {
          if (step.done) {
            results.push(...step.value);
            break;
          }
          this.#context.progress.advance(step.value);
          if (performance.now() - rested < TICK_MS) continue;
          await setImmediate();
          if (signal?.aborted) throw interrupted();
          rested = performance.now();
        }
      }
    } finally {
      place.close();
    }
    return results;
  }

  async #runInWorkers(batches: readonly Batch[], signal: AbortSignal | undefined): Promise<TaskResult[]> {
    const results: (readonly TaskResult[])[] = batches.map(() => []);
    const threads = Math.min(this.#context.threads, batches.length);
    while (this.#workers.length < threads) this.#workers.push(this.#start());
    const workers = this.#workers.slice(0, threads);
    const timer = setInterval(() => this.#tell(), TICK_MS);
    let detach = (): void => {};
    try {
      await new Promise<void>((resolve, reject) => {
        let next = 0;
        let open = batches.length;
        const give = (worker: Worker): void => {
          const batch = next++;
          const work = batches[batch];
          if (work) worker.postMessage({ batch, work } satisfies ToWorker);
        };
        const take = (worker: Worker, { batch, results: found, failure }: FromWorker): void => {
          if (failure) {
            reject(errorOf(failure));
            return;
          }
          results[batch] = found;
          open--;
          if (open === 0) resolve();
          else give(worker);
        };
        const stopped = (): void => reject(interrupted());
        signal?.addEventListener('abort', stopped);
        const listeners = workers.map((worker) => {
          const onMessage = (message: FromWorker): void => take(worker, message);
          const onExit = (code: number): void => reject(new Error(`a worker thread exited with ${code}`));
          worker.on('message', onMessage).on('error', reject).on('exit', onExit);
          return () => worker.off('message', onMessage).off('error', reject).off('exit', onExit);
        });
        detach = () => {
          signal?.removeEventListener('abort', stopped);
          for (const off of listeners) off();
        };
        for (let ahead = 0; ahead < AHEAD; ahead++) for (const worker of workers) give(worker);
      });
    } catch (error) {
      detach();
      await this.close();
      throw error;
    } finally {
      clearInterval(timer);
      detach();
      this.#tell();
    }
    return results.flat();
  }

  #start(): Worker {
    const worker = poolWorker();
    worker.postMessage(this.#setup);
    return worker;
  }

  #tell(): void {
    const done = Number(Atomics.load(new BigInt64Array(this.#setup.done), 0));
    if (done > this.#told) this.#context.progress.advance(done - this.#told);
    this.#told = done;
  }
}

/** A pool for the time of `work`. Where others are at work beside, tasks are done together with theirs. */
export async function withPool<T>(context: WorkContext, work: (pool: Pool) => Promise<T>): Promise<T> {
  const { shared, rides } = context;
  if (shared)
    return work({ run: async (tasks, signal) => (await shared.run(tasks, signal)) as TaskResult[] });
  return withWorkers(context, (pool) => work(rides ? carrying(rides, pool) : pool));
}

const carrying = (rides: Rides, pool: WorkerPool): Pool => ({
  run: async (tasks, signal) =>
    (await rides.carry(tasks, (batches) =>
      pool.runBatches(batches as readonly Batch[], signal),
    )) as TaskResult[],
});

/** Batches that were put together from the tasks of several outputs. */
export const runBatches = (batches: readonly Batch[], context: WorkContext): Promise<TaskResult[]> =>
  withWorkers(context, (pool) => pool.runBatches(batches, context.signal));

async function withWorkers<T>(context: WorkContext, work: (pool: WorkerPool) => Promise<T>): Promise<T> {
  const pool = new WorkerPool(context);
  try {
    return await work(pool);
  } finally {
    await pool.close();
  }
}
