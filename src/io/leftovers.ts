import * as fs from 'node:fs';
import * as path from 'node:path';
import { hasJournal, recover } from './journal.js';

const DAY_MS = 24 * 60 * 60 * 1000;
const STAGING = /^\.(.+)\.(\d+)-[0-9a-f]{8}\.tmp$/;

/** Says for which target and by which process. (The global crypto: node:crypto takes milliseconds to load.) */
export const stagingName = (target: string): string =>
  `.${target}.${process.pid}-${Buffer.from(crypto.getRandomValues(new Uint8Array(4))).toString('hex')}.tmp`;

/** Staging folders whose process is gone. */
function orphans(folder: string): { readonly target: string; readonly staging: string }[] {
  return (attempt(() => fs.readdirSync(folder)) ?? []).flatMap((name) => {
    const [, target, pid] = STAGING.exec(name) ?? [];
    if (target === undefined || isRunning(Number(pid))) return [];
    const staging = path.join(folder, name);
    return attempt(() => fs.lstatSync(staging).isDirectory()) ? [{ target, staging }] : [];
  });
}

/**
 * Brings to an end what killed runs left half moved in `folder`: a family of files whose staging folder holds a
 * journal. Whoever does it takes the folder over first, so that only one does. Quiet where it may not be done.
 * True if a family was completed or restored.
 */
export function finishCommits(folder: string): boolean {
  let done = false;
  for (const { target, staging } of orphans(folder))
    attempt(() => {
      if (!hasJournal(staging)) return;
      const mine = path.join(folder, stagingName(target));
      fs.renameSync(staging, mine);
      let recovered = false;
      try {
        recovered = recover(mine, folder);
      } finally {
        if (!recovered) fs.renameSync(mine, staging); // for a run that may
      }
      if (!recovered) return;
      done = true;
      fs.rmSync(mine, { recursive: true, force: true });
    });
  return done;
}

/**
 * Removes the staging folders that killed runs left in `folder`: named as ours are, untouched for a day, by a process
 * that is gone, holding nothing but files and no unfinished moves. Whatever cannot be looked at or removed stays.
 */
export function removeStaleStaging(folder: string, now = Date.now()): void {
  for (const { staging } of orphans(folder))
    attempt(() => {
      if (hasJournal(staging)) return;
      const files = fs.readdirSync(staging).map((file) => path.join(staging, file));
      const all = [staging, ...files].map((file) => fs.lstatSync(file));
      if (all.slice(1).some((stat) => !stat.isFile()) || all.some((stat) => now - stat.mtimeMs < DAY_MS))
        return;
      for (const file of files) fs.unlinkSync(file);
      fs.rmdirSync(staging);
    });
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
