import { Worker } from 'node:worker_threads';
import { builtFile } from './location.js';
import { errorOf, type Failure } from './messages.js';

/** What a job worker is sent and answers; `kernels/job-worker.ts` is the other side. */
export interface JobMessage<In> {
  readonly id: number;
  readonly job: In;
}
export interface JobAnswer<Out> {
  readonly id: number;
  readonly value?: Out;
  readonly failure?: Failure;
}

/** Jobs a worker is given ahead, so that it never waits for the main thread. */
const AHEAD = 2;
/** Workers that nobody has asked for anything this long are ended. */
const IDLE_MS = 500;

interface Pending<Out> {
  readonly worker: Helper;
  resolve(value: Out): void;
  reject(error: Error): void;
}

interface Helper {
  readonly thread: Worker;
  open: number;
}

/**
 * Worker threads that do jobs which come one by one and whose bytes travel with them (moved, not copied), where a task
 * of the pool can't be said beforehand. Started when needed, ended when idle; a job in the works keeps the process
 * alive, idle workers don't.
 */
export class Jobs<In, Out> {
  readonly #entry: string;
  readonly #workers: Helper[] = [];
  readonly #pending = new Map<number, Pending<Out>>();
  readonly #waiting: (() => void)[] = [];
  #next = 1;
  #idle: NodeJS.Timeout | undefined;

  /** `entry`: a file of the build that serves such jobs. */
  constructor(entry: string) {
    this.#entry = entry;
  }

  /** Does one job in one of up to `threads` workers. The buffers in `moved` are gone afterwards. */
  async run(job: In, moved: readonly ArrayBuffer[], threads: number): Promise<Out> {
    clearTimeout(this.#idle);
    let worker = this.#free(threads);
    while (!worker) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
      worker = this.#free(threads);
    }
    return this.#send(worker, job, moved);
  }

  #free(threads: number): Helper | undefined {
    const idle = this.#workers.find(({ open }) => open === 0);
    if (idle) return idle;
    if (this.#workers.length < threads) return this.#start();
    const [least] = [...this.#workers].sort((a, b) => a.open - b.open);
    return least && least.open < AHEAD ? least : undefined;
  }

  #send(worker: Helper, job: In, moved: readonly ArrayBuffer[]): Promise<Out> {
    const id = this.#next++;
    return new Promise<Out>((resolve, reject) => {
      this.#pending.set(id, { worker, resolve, reject });
      if (worker.open++ === 0) worker.thread.ref();
      worker.thread.postMessage({ id, job } satisfies JobMessage<In>, [...moved]);
    });
  }

  #start(): Helper {
    const thread = new Worker(builtFile(this.#entry), { execArgv: [] });
    const worker: Helper = { thread, open: 0 };
    this.#workers.push(worker);
    thread.on('message', ({ id, value, failure }: JobAnswer<Out>) => {
      const job = this.#pending.get(id);
      this.#pending.delete(id);
      if (--worker.open === 0) thread.unref();
      if (failure) job?.reject(errorOf(failure));
      else job?.resolve(value as Out);
      this.#waiting.shift()?.();
      if (this.#pending.size === 0) this.#rest();
    });
    const lost = (error: Error): void => {
      const at = this.#workers.indexOf(worker);
      if (at >= 0) this.#workers.splice(at, 1);
      for (const [id, job] of this.#pending)
        if (job.worker === worker) {
          this.#pending.delete(id);
          job.reject(error);
        }
      this.#waiting.shift()?.();
    };
    thread.on('error', lost);
    thread.on('exit', (code) => lost(new Error(`a worker thread exited with ${code}`)));
    return worker;
  }

  /** Ends the workers, if none is at work: their memory is wanted. */
  end(): void {
    clearTimeout(this.#idle);
    if (this.#pending.size > 0) return;
    for (const { thread } of this.#workers.splice(0)) void thread.terminate();
  }

  #rest(): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.end(), IDLE_MS).unref();
  }
}

/** The bytes in a buffer of their own, which can be moved to another thread: themselves, if they have one. */
export function movable(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes;
  const whole = bytes.byteOffset === 0 && bytes.byteLength === buffer.byteLength;
  return whole && buffer instanceof ArrayBuffer ? new Uint8Array(buffer) : new Uint8Array(bytes);
}

/** Starts `job` on up to `ahead` items before the first of them is asked for; gives the results in order. */
export async function* inOrder<T, U>(
  items: AsyncIterable<T> | Iterable<T>,
  job: (item: T) => Promise<U>,
  ahead: number,
): AsyncGenerator<U> {
  const started: Promise<U>[] = [];
  for await (const item of items) {
    const result = job(item);
    result.catch(() => {}); // told when its turn comes
    started.push(result);
    if (started.length < ahead) continue;
    const first = started.shift();
    if (first) yield await first;
  }
  for (const result of started) yield await result;
}
