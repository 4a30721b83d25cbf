import type { WorkContext } from '../core/format.js';
import { scratchFolder } from '../io/disk.js';
import { startRuntime } from '../runtime/process.js';
import { SourceRun } from '../validate/source-run.js';
import type { Beside } from './write.js';

/**
 * Runs `work` with what trials of one model have in common: its own run, which is made once, and a runtime that stays.
 *
 * @param inputs path of an npz with feeds
 */
export async function withBeside<T>(
  inputs: string | undefined,
  { signal }: WorkContext,
  work: (beside: Beside) => Promise<T>,
): Promise<T> {
  const runtime = startRuntime(signal ? { signal } : {});
  const sourceRun = new SourceRun(inputs);
  try {
    return await work({ runtime, sourceRun });
  } finally {
    await sourceRun.close();
    await runtime.close();
  }
}

/** Runs `work` with a folder for what it writes, which goes when it has ended. */
export async function inScratch<T>(prefix: string, work: (folder: string) => Promise<T>): Promise<T> {
  const { folder, remove } = scratchFolder(prefix);
  try {
    return await work(folder);
  } finally {
    remove();
  }
}
