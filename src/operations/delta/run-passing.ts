import { joinPath, removeFile } from '../../io/disk.js';
import { type Run, readRun, writeRun } from './run-index.js';

/**
 * The run, ready to be changed: files that an interrupted change left, and that its index names as passing, are gone.
 * Only while the run is held (`run-lock.ts`).
 */
export async function settledRun(folder: string): Promise<Run> {
  const run = await readRun(folder);
  return run.passing ? settle(folder, run) : run;
}

/** Replaces the index by one that no longer names the files of `before`; then those are removed. */
export async function replaceRun(folder: string, before: Run, after: Run): Promise<Run> {
  const named = new Set(after.steps.map(({ file }) => file));
  const passing = before.steps.map(({ file }) => file).filter((file) => !named.has(file));
  const replaced = { ...after, passing };
  await writeRun(folder, replaced);
  return settle(folder, replaced);
}

async function settle(folder: string, { passing = [], ...run }: Run): Promise<Run> {
  const named = new Set(run.steps.map(({ file }) => file));
  for (const file of passing) if (!named.has(file)) removeFile(joinPath(folder, file));
  await writeRun(folder, run);
  return run;
}
