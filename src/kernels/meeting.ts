import type { WorkContext } from '../core/format.js';
import type { SharedWork, Stage } from '../core/shared-work.js';
import type { TensorSource } from '../core/tensor.js';
import { CopiesMade } from './copies-made.js';
import { KeptCopies } from './kept-copies.js';
import { isApart, mergedBatches, resultsOf } from './merge-tasks.js';
import { interrupted } from './messages.js';
import { runBatches, withPool } from './pool.js';
import { keyText } from './program.js';
import type { Task, TaskResult } from './tasks.js';

const STAGES: readonly Stage[] = ['make', 'write', 'check'];

/** Tasks of a seat that wait for those of the others. */
interface Request {
  readonly seat: Seat;
  readonly tasks: readonly Task[];
  readonly signal: AbortSignal | undefined;
  resolve(results: readonly TaskResult[]): void;
  reject(error: unknown): void;
}

/**
 * Where outputs meet that are made side by side of the same files. Each has a seat and goes its own way, as if it were
 * alone, until it needs the pool; once all have come so far, the tasks of all are done together, a range of a file after
 * the other (`merge-tasks.ts`). What is asked for alone (runs of models) is done one after the other, while nothing else is.
 * Who fails has failed alone: a seat that is left holds nobody up.
 */
export class Meeting {
  /** Threads, progress and the signal that ends everything. */
  readonly #context: WorkContext;
  readonly #seats = new Set<Seat>();
  readonly #found = new Map<string, TaskResult>();
  readonly #made = new Map<string, Promise<unknown>>();
  readonly #copies = new CopiesMade();
  readonly #kept: KeptCopies | undefined;
  #requests: Request[] = [];
  #turns: readonly { readonly seat: Seat; give(): void }[] = [];
  #busy: boolean = false;
  #looking: boolean = false;

  /** `keeps`: nobody copies the source, so what will be wanted of it later is kept where it is read. */
  constructor(context: WorkContext, { keeps = false }: { readonly keeps?: boolean } = {}) {
    this.#context = context;
    this.#kept = keeps ? new KeptCopies() : undefined;
  }

  foresee(tensors: readonly TensorSource[]): void {
    this.#kept?.foresee(tensors);
  }

  /** What was kept goes. */
  close(): void {
    this.#kept?.release();
  }

  /** Runs side by side, each with a seat. All have to be started before the first of them has to wait. */
  async join<T>(work: (shared: SharedWork) => Promise<T>): Promise<T> {
    const seat = new Seat(this);
    this.#seats.add(seat);
    try {
      return await work(seat);
    } finally {
      this.#seats.delete(seat);
      this.look();
    }
  }

  async ask(
    seat: Seat,
    tasks: readonly Task[],
    signal: AbortSignal | undefined,
  ): Promise<readonly TaskResult[]> {
    let withdraw = (): void => {};
    try {
      return await new Promise((resolve, reject) => {
        const request = { seat, tasks, signal, resolve, reject };
        this.#requests.push(request);
        withdraw = () => this.#withdraw(request);
        signal?.addEventListener('abort', withdraw);
        if (signal?.aborted) withdraw();
        this.look();
      });
    } finally {
      signal?.removeEventListener('abort', withdraw);
    }
  }

  /** The seat is given its turn once nobody does anything; it has to hand it back. */
  turn(seat: Seat): Promise<void> {
    return new Promise((give) => {
      this.#turns = [...this.#turns, { seat, give }];
      this.look();
    });
  }

  endTurn(): void {
    this.#busy = false;
    this.look();
  }

  /** Tasks of a seat that has its turn. */
  runAlone(tasks: readonly Task[], signal: AbortSignal | undefined): Promise<readonly TaskResult[]> {
    return withPool(this.#context, (pool) => pool.run(tasks, signal));
  }

  /** `waiting`: whoever waits for another's work is told from one who works. */
  once<T>(key: string, make: () => Promise<T>, waiting: (made: Promise<T>) => Promise<T>): Promise<T> {
    const known = this.#made.get(key) as Promise<T> | undefined;
    if (known !== undefined) return waiting(known);
    const made = make();
    this.#made.set(key, made);
    return made;
  }

  /** Looks whether all wait, after everything that can go on by itself has gone on. */
  look(): void {
    if (this.#looking) return;
    this.#looking = true;
    setImmediate(() => {
      this.#looking = false;
      this.#next();
    });
  }

  #next(): void {
    if (this.#busy || [...this.#seats].some(({ works }) => works)) return;
    const waiting = [...this.#requests, ...this.#turns];
    const stage = STAGES.find((one) => waiting.some(({ seat }) => seat.at === one));
    if (stage === undefined) return;
    const turn = this.#turns.find(({ seat }) => seat.at === stage);
    if (!turn) {
      // Who writes has nothing more to find out: its copy is made of the same read.
      const also = stage === 'make' ? 'write' : stage;
      const now = this.#requests.filter(({ seat }) => seat.at === stage || seat.at === also);
      this.#requests = this.#requests.filter((request) => !now.includes(request));
      void this.#together(now, stage);
      return;
    }
    this.#turns = this.#turns.filter((one) => one !== turn);
    this.#busy = true;
    this.#context.progress.stage('run', 0);
    turn.give();
  }

  #withdraw(request: Request): void {
    // What is being done is waited for: nothing may be written any more once a request has ended.
    if (!this.#requests.includes(request)) return;
    this.#requests = this.#requests.filter((one) => one !== request);
    request.reject(interrupted());
  }

  async #together(requests: readonly Request[], stage: Stage): Promise<void> {
    this.#busy = true;
    this.#context.progress.stage(stage === 'check' ? 'read back' : stage, 0);
    let settle: (() => void)[];
    try {
      const tasks = requests.flatMap((request) => request.tasks);
      const results = await this.#merged(tasks, stage);
      let at = 0;
      settle = requests.map((request) => {
        const own = results.slice(at, at + request.tasks.length);
        at += own.length;
        return () => (request.signal?.aborted ? request.reject(interrupted()) : request.resolve(own));
      });
    } catch (error) {
      settle = this.#context.signal?.aborted
        ? requests.map((request) => () => request.reject(error))
        : await this.#oneByOne(requests);
    }
    this.#busy = false;
    for (const one of settle) one();
    this.look();
  }

  /** Something failed: each does its own again (they write by position), and who is at fault is told. */
  async #oneByOne(requests: readonly Request[]): Promise<(() => void)[]> {
    const settle: (() => void)[] = [];
    for (const request of requests)
      try {
        const results = await this.runAlone(request.tasks, request.signal);
        settle.push(() => request.resolve(results));
      } catch (error) {
        settle.push(() => request.reject(error));
      }
    return settle;
  }

  /** The results in the order of the tasks. What only looks, and is asked for again, is looked up. */
  async #merged(tasks: readonly Task[], stage: Stage): Promise<TaskResult[]> {
    const keys = tasks.map(keyOf);
    const missing: Task[] = [];
    const places = new Map<string, number>();
    const wanted = tasks.map((task, i): number | TaskResult => {
      const key = keys[i];
      const known = key === undefined ? undefined : (this.#found.get(key) ?? places.get(key));
      if (known !== undefined) return known;
      if (key !== undefined) places.set(key, missing.length);
      return missing.push(task) - 1;
    });
    if (stage === 'make') this.#kept?.keepFor(missing.filter(isApart));
    const kept = stage === 'make' ? (this.#kept?.tasks(this.#copies) ?? []) : [];
    if (stage === 'check') this.#kept?.release();
    const results =
      stage === 'check' ? await this.#read(missing) : await this.#readOnce([...missing, ...kept]);
    for (const [key, place] of places) this.#found.set(key, results[place] ?? {});
    return wanted.map((one) => (typeof one === 'number' ? (results[one] ?? {}) : one));
  }

  /** As `#read`, from copies where there are some. Only what is written is compared with the source itself. */
  async #readOnce(tasks: readonly Task[]): Promise<TaskResult[]> {
    const results: TaskResult[] = [];
    const indices = tasks.map((_, i) => i);
    // What reads for itself comes when it has been copied, if it is.
    for (const round of [
      indices.filter((i) => !isApart(tasks[i])),
      indices.filter((i) => isApart(tasks[i])),
    ]) {
      const own = round.flatMap((i) => tasks[i] ?? []);
      const found = await this.#read(own.map((task) => this.#copies.instead(task)));
      this.#copies.add(own);
      round.forEach((i, k) => {
        results[i] = found[k] ?? {};
      });
    }
    return results;
  }

  /** Those that read the same together. */
  async #read(tasks: readonly Task[]): Promise<TaskResult[]> {
    if (tasks.length === 0) return [];
    const merged = mergedBatches(tasks);
    return resultsOf(merged, await runBatches(merged.batches, this.#context));
  }
}

/** Of a task that writes nothing and gives little: the same key, the same result. */
const keyOf = (task: Task): string | undefined =>
  (task.kind === 'half' || task.kind === 'ends') && !task.program.coded ? keyText(task) : undefined;

/** One of several outputs. */
class Seat implements SharedWork {
  readonly #meeting: Meeting;
  at: Stage = 'make';
  /** Strands of its work that wait for others. */
  #waiting = 0;
  #alone: boolean = false;

  constructor(meeting: Meeting) {
    this.#meeting = meeting;
  }

  get works(): boolean {
    return this.#waiting === 0;
  }

  run(tasks: readonly object[], signal: AbortSignal | undefined): Promise<readonly object[]> {
    const own = tasks as readonly Task[];
    if (this.#alone) return this.#meeting.runAlone(own, signal);
    if (own.length === 0) return Promise.resolve([]);
    return this.#waits(this.#meeting.ask(this, own, signal));
  }

  foresee(tensors: readonly TensorSource[]): void {
    this.#meeting.foresee(tensors);
  }

  once<T>(key: string, make: () => Promise<T>): Promise<T> {
    return this.#meeting.once(key, make, (made) => this.#waits(made));
  }

  async alone<T>(work: () => Promise<T>): Promise<T> {
    if (this.#alone) return work();
    await this.#waits(this.#meeting.turn(this));
    this.#alone = true;
    try {
      return await work();
    } finally {
      this.#alone = false;
      this.#meeting.endTurn();
    }
  }

  async stage(stage: Stage): Promise<void> {
    this.at = stage;
    // What nobody does is done when all others have come as far.
    if (stage === 'check') await this.#waits(this.#meeting.ask(this, [], undefined));
  }

  async #waits<T>(what: Promise<T>): Promise<T> {
    this.#waiting++;
    this.#meeting.look();
    try {
      return await what;
    } finally {
      this.#waiting--;
    }
  }
}
