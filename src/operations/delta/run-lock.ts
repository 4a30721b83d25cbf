import { MlserError } from '../../errors.js';
import { joinPath } from '../../io/disk.js';
import { takeLock } from '../../io/lock.js';

const LOCK = '.mlser-run.lock';

/** Runs `work` while nobody else changes the run folder. @throws E_EXISTS if somebody does. */
export async function changingRun<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const release = takeLock(joinPath(folder, LOCK));
  if (!release)
    throw new MlserError('E_EXISTS', `another mlser changes ${folder} at this moment`, {
      details: { folder },
      hint: `wait until it is done (if no other one runs, remove ${joinPath(folder, LOCK)})`,
    });
  try {
    return await work();
  } finally {
    release();
  }
}
