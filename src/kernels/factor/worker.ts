import { type Done, serveJobs } from '../job-worker.js';
import { type FactorDone, type FactorJob, factorMatrix } from './factor-matrix.js';

/** A worker thread: factors matrices until it is ended. */
serveJobs<FactorJob, FactorDone>(async (job): Promise<Done<FactorDone>> => {
  const value = factorMatrix(job);
  const { left, right, near } = value;
  return { value, moved: [left, right, near].flatMap((part) => part?.buffer ?? []) };
});
