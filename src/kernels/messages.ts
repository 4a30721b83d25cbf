import { type Details, type ErrorCode, MlserError } from '../errors.js';
import type { Batch } from './batches.js';
import type { TaskResult } from './tasks.js';

/** The first message to a worker: memory shared with the main thread. */
export interface WorkerSetup {
  /** One i32: not zero once the work is to stop. */
  readonly stop: SharedArrayBuffer;
  /** One i64: canonical bytes done by all workers. */
  readonly done: SharedArrayBuffer;
}

export interface ToWorker {
  readonly batch: number;
  readonly work: Batch;
}

/** An error in a form that can be sent. */
export interface Failure {
  readonly message: string;
  readonly stack: string | undefined;
  /** Of a MlserError. */
  readonly known?: { readonly code: ErrorCode; readonly details: Details; readonly hint: string | undefined };
}

/** The results of a batch in order, or why there are none. */
export interface FromWorker {
  readonly batch: number;
  readonly results: readonly TaskResult[];
  readonly failure?: Failure;
}

export function failureOf(error: unknown): Failure {
  if (error instanceof MlserError) {
    const { code, details, hint } = error;
    return { message: error.message, stack: error.stack, known: { code, details, hint } };
  }
  return error instanceof Error
    ? { message: error.message, stack: error.stack }
    : { message: String(error), stack: undefined };
}

/** The error again, of the same class, with its code, details and hint. */
export function errorOf({ message, stack, known }: Failure): Error {
  if (known)
    return new MlserError(known.code, message, {
      details: known.details,
      ...(known.hint === undefined ? {} : { hint: known.hint }),
    });
  const error = new Error(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}

export const interrupted = (): MlserError => new MlserError('E_INTERRUPTED', 'interrupted');
