import type { WorkContext } from '../core/format.js';
import type { Rides } from '../core/shared-work.js';
import type { Batch } from './batches.js';
import { mergedBatches, resultsOf } from './merge-tasks.js';
import { interrupted } from './messages.js';
import { type Passenger, tasksAlone } from './passengers.js';
import { type Pool, withPool } from './pool.js';
import type { Task, TaskResult } from './tasks.js';

/** The parts that a passenger was done in, and what came of each. */
export interface Ridden {
  readonly tasks: readonly Task[];
  readonly results: readonly TaskResult[];
}

/** Does passengers where `rides` says that others read the same, or by themselves. E_INTERRUPTED on abort. */
export async function rideAlong(
  passengers: readonly Passenger[],
  context: WorkContext,
  rides: Rides | undefined,
): Promise<readonly Ridden[]> {
  if (passengers.length === 0) return [];
  if (rides) return (await rides.ride(passengers)) as readonly Ridden[];
  return withPool(context, (pool) => walked(passengers, pool, context.signal));
}

/** Each by itself. What has to be done in order is one task, of which the longest go first. */
export async function walked(
  passengers: readonly Passenger[],
  pool: Pool,
  signal: AbortSignal | undefined,
): Promise<readonly Ridden[]> {
  const tasks = passengers.map(tasksAlone);
  const jobs = tasks
    .flatMap((own, i) =>
      own.map((task) => ({ i, task, bits: (task.end - task.start) * task.program.inBits })),
    )
    .sort((a, b) => b.bits - a.bits);
  const results = await pool.run(
    jobs.map(({ task }) => task),
    signal,
  );
  const found = new Map(jobs.map(({ task }, k) => [task, results[k] ?? {}]));
  return tasks.map((own) => ({ tasks: own, results: own.map((task) => found.get(task) ?? {}) }));
}

/** Passengers that wait. */
export class WaitingRoom implements Rides {
  readonly #context: WorkContext;
  readonly #waiting = new Map<Passenger, { done(ridden: Ridden): void; fail(error: unknown): void }>();

  constructor(context: WorkContext) {
    this.#context = context;
  }

  get #passengers(): readonly Passenger[] {
    return [...this.#waiting.keys()];
  }

  ride(passengers: readonly object[]): Promise<readonly Ridden[]> {
    return Promise.all(
      (passengers as readonly Passenger[]).map(
        (passenger) =>
          new Promise<Ridden>((done, fail) => {
            this.#waiting.set(passenger, { done, fail });
          }),
      ),
    );
  }

  async carry(
    tasks: readonly object[],
    run: (batches: readonly Batch[]) => Promise<readonly object[]>,
  ): Promise<readonly TaskResult[]> {
    const merged = mergedBatches(tasks as readonly Task[], this.#passengers);
    const results = resultsOf(merged, (await run(merged.batches)) as readonly TaskResult[]);
    for (const { passenger, tasks: parts, places } of merged.rides)
      this.#arrive(passenger, { tasks: parts, results: places.map((place) => results[place] ?? {}) });
    return results.slice(0, tasks.length);
  }

  /** Nobody will come any more: those who are left go by themselves, together where they can. */
  async walk(): Promise<void> {
    // What can be done in any parts goes first, and carries the others.
    for (const inOrder of [false, true]) {
      const own = this.#passengers.filter((passenger) => passenger.inOrder === inOrder);
      // They are done by tasks of their own, and no longer carried.
      const walkers = own.map((passenger) => this.#waiting.get(passenger));
      for (const passenger of own) this.#waiting.delete(passenger);
      const ridden = await rideAlong(own, { ...this.#context, rides: this }, undefined);
      for (const [i, one] of ridden.entries()) walkers[i]?.done(one);
    }
  }

  /** Who still waits is told that nothing will come of it. */
  close(): void {
    for (const { fail } of this.#waiting.values()) fail(interrupted());
    this.#waiting.clear();
  }

  #arrive(passenger: Passenger, ridden: Ridden): void {
    this.#waiting.get(passenger)?.done(ridden);
    this.#waiting.delete(passenger);
  }
}
