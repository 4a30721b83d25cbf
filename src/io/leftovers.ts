import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';

const DAY_MS = 24 * 60 * 60 * 1000;
const STAGING = /^\..+\.(\d+)-[0-9a-f]{8}\.tmp$/;

/** Says for which target and by which process. */
export const stagingName = (target: string): string =>
  `.${target}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`;

/**
 * Removes the staging folders that killed runs left in `folder`: named as ours are, untouched for a day, by a process
 * that is gone, holding nothing but files. Whatever cannot be looked at or removed stays.
 */
export function removeStaleStaging(folder: string, now = Date.now()): void {
  for (const name of attempt(() => fs.readdirSync(folder)) ?? []) {
    const pid = STAGING.exec(name)?.[1];
    if (pid === undefined || isRunning(Number(pid))) continue;
    const staging = path.join(folder, name);
    attempt(() => {
      if (!fs.lstatSync(staging).isDirectory()) return;
      const files = fs.readdirSync(staging).map((file) => path.join(staging, file));
      const all = [staging, ...files].map((file) => fs.lstatSync(file));
      if (all.slice(1).some((stat) => !stat.isFile()) || all.some((stat) => now - stat.mtimeMs < DAY_MS))
        return;
      for (const file of files) fs.unlinkSync(file);
      fs.rmdirSync(staging);
    });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

function attempt<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch {
    return undefined; // somebody else's, or gone meanwhile: not worth failing a run for
  }
}
