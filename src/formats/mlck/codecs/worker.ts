import { type Done, serveJobs } from '../../../kernels/job-worker.js';
import { movable } from '../../../kernels/jobs.js';
import type { CodecDone, CodecJob } from './parallel.js';
import { decodeJob, encodeJob } from './work.js';

/** A worker thread: codes chunks until it is ended. */
serveJobs<CodecJob, CodecDone>(async (job): Promise<Done<CodecDone>> => {
  if (job.op === 'encode') {
    const done = await encodeJob(job);
    return { value: done, moved: [done.bytes.buffer] };
  }
  const done = await decodeJob(job);
  const raw = done.raw && movable(done.raw);
  return { value: { ...done, raw }, moved: raw ? [raw.buffer] : [] };
});
