import { parentPort } from 'node:worker_threads';
import type { JobAnswer, JobMessage } from './jobs.js';
import { failureOf } from './messages.js';

/** What came out of a job, and the buffers in it that are moved to who asked. */
export interface Done<Out> {
  readonly value: Out;
  readonly moved: readonly ArrayBuffer[];
}

/** Serves the jobs that `Jobs` sends to this worker thread, one after the other. */
export function serveJobs<In, Out>(work: (job: In) => Promise<Done<Out>>): void {
  const port = parentPort;
  if (!port) throw new Error('this module is a worker thread');
  let queue: Promise<void> = Promise.resolve();
  const serve = async ({ id, job }: JobMessage<In>): Promise<void> => {
    try {
      const { value, moved } = await work(job);
      port.postMessage({ id, value } satisfies JobAnswer<Out>, [...moved]);
    } catch (error) {
      port.postMessage({ id, failure: failureOf(error) } satisfies JobAnswer<Out>);
    }
  };
  port.on('message', (message: JobMessage<In>) => {
    queue = queue.then(() => serve(message));
  });
}
