import { isMlserError, type MlserError } from '../../errors.js';
import type { ActualDevice } from '../../runtime/devices.js';
import type { Runtime, RuntimeSession } from '../../runtime/process.js';
import type { MemoryUse } from '../../runtime/protocol.js';
import type { Runnable } from '../../validate/runnable.js';
import type { BenchFeeds } from './feeds.js';
import type { Accuracy, BatchResult, PeakMemory, Roofline } from './report.js';

/** One model on one device, and what is known of it so far. */
export interface Subject {
  readonly path: string;
  readonly device: ActualDevice;
  /** undefined: it could not be opened, and `error` says why. */
  readonly target?: Runnable;
  /** Path of the graph that the runtime opens. */
  readonly graph?: string;
  readonly bytes?: number;
  readonly parameters?: number;
  error?: MlserError;
  /** The process that it is in at present. */
  runtime?: Runtime;
  ready?: Ready;
  feeds?: BenchFeeds;
  /** Milliseconds of loading, process by process. */
  readonly loads: number[];
  memory?: PeakMemory;
  accuracy?: Accuracy;
  roofline?: Roofline;
  /** By batch, for those that it takes. */
  readonly timings: Map<number, Timings>;
  readonly skipped: { readonly batch: number; readonly reason: string }[];
  /** What the runtime said when it refused a batch. */
  refused?: MlserError;
  readonly batches: BatchResult[];
  /** Medians of resamples by batch, for comparisons. */
  readonly medians: Map<number, Float64Array>;
}

/** Latency at one batch, as it is gathered. */
export interface Timings {
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  /** Runs that count, over all processes. */
  runs: number;
  /** Milliseconds of every run, turn by turn: all models have as many turns. */
  readonly turns: Float64Array[];
}

/** A session that is there, with feeds that it takes. */
export interface Ready {
  readonly runtime: Runtime;
  readonly session: RuntimeSession;
  readonly feeds: BenchFeeds;
  /** Before the model was loaded. */
  readonly before: MemoryUse;
}

export function readyOf({ path, ready }: Subject): Ready {
  if (!ready) throw new Error(`${path} has no session`);
  return ready;
}

/** Those that can still be measured. */
export const alive = (subjects: readonly Subject[]): Subject[] => subjects.filter(({ error }) => !error);

/** What goes wrong with one model is told of that model, and the others go on. An interruption ends everything. */
export async function guarded<T>(subject: Subject, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!isMlserError(error) || error.code === 'E_INTERRUPTED') throw error;
    subject.error ??= error.with({ model: subject.path });
    return undefined;
  }
}
