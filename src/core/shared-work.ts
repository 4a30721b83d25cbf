import type { TensorSource } from './tensor.js';

/** What one of several outputs that are made side by side is at. */
export type Stage =
  /** Finding out what is to be written, with scratch files. */
  | 'make'
  | 'write'
  /** Reading back what was written. */
  | 'check';

/**
 * A seat at a place where outputs that are made side by side of the same files meet, so that these are read once for all
 * of them (`kernels/meeting.ts` is that place).
 */
export interface SharedWork {
  /** Does tasks of the pool, together with those of the others. */
  run(tasks: readonly object[], signal: AbortSignal | undefined): Promise<readonly object[]>;
  /** What `make` gives for a key, which is done for the first that asks; the others wait for that. */
  once<T>(key: string, make: () => Promise<T>): Promise<T>;
  /** These will probably be written as they are: they may be kept from where the source is read anyway. */
  foresee(tensors: readonly TensorSource[]): void;
  /** Does `work` while nobody else does anything: what takes much memory by itself, or is timed. */
  alone<T>(work: () => Promise<T>): Promise<T>;
  /**
   * From now on. Who knows what to write does so while others still find it out; `check` waits until all have written: until
   * then a file may be read that another one has to have the same bytes as.
   */
  stage(stage: Stage): Promise<void>;
}

/** Does `work` alone, where there are others. */
export const alone = <T>(shared: SharedWork | undefined, work: () => Promise<T>): Promise<T> =>
  shared ? shared.alone(work) : work();

/**
 * Where work over tensors waits for somebody who reads them anyway, to be done in the same read (`kernels/ride-along.ts` is
 * that place).
 */
export interface Rides {
  /** What came of the passengers, once they were carried or have walked. */
  ride(passengers: readonly object[]): Promise<readonly object[]>;
  /** Does tasks of the pool in batches, and with them passengers for whom these read enough. */
  carry(
    tasks: readonly object[],
    run: (batches: readonly object[]) => Promise<readonly object[]>,
  ): Promise<readonly object[]>;
  /** Nobody else will come: those who still wait are done by themselves. */
  walk(): Promise<void>;
}
