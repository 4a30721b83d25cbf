import * as fs from 'node:fs';
import { hostname } from 'node:os';
import { withIo } from './disk.js';

const held = new Set<string>();

/** Locks of this process: given up when it ends early. */
export function releaseLocks(): void {
  for (const file of held) fs.rmSync(file, { force: true });
  held.clear();
}

/**
 * A lock file that says who holds it. Undefined if somebody else does; one whose process is gone (on this machine) is
 * taken over. Gives what gives it back.
 */
export function takeLock(file: string): (() => void) | undefined {
  for (let tries = 0; tries < 2; tries++) {
    if (withIo(file, () => placed(file))) {
      held.add(file);
      return () => {
        held.delete(file);
        fs.rmSync(file, { force: true });
      };
    }
    if (!isStale(file)) return undefined;
    removeStale(file);
  }
  return undefined;
}

/** Puts a lock of ours there, whole from its first moment on. False if there is one. */
function placed(file: string): boolean {
  const own = beside(file);
  try {
    fs.writeFileSync(own, JSON.stringify({ pid: process.pid, host: hostname() }), { flag: 'wx' });
    try {
      fs.linkSync(own, file);
    } catch (error) {
      if (isThere(error)) return false;
      fs.copyFileSync(own, file, fs.constants.COPYFILE_EXCL); // a file system without links
    }
    return true;
  } catch (error) {
    if (isThere(error)) return false;
    throw error;
  } finally {
    fs.rmSync(own, { force: true });
  }
}

/** A name that no other process takes. */
const beside = (file: string): string =>
  `${file}.${process.pid}-${Math.random().toString(36).slice(2, 10)}.tmp`;
const isThere = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'EEXIST';

/** Moved away first: between the look and the removal another process may have put its own lock there. */
function removeStale(file: string): void {
  const moved = beside(file);
  try {
    fs.renameSync(file, moved);
    if (!isStale(moved)) fs.linkSync(moved, file);
  } catch {
    // Somebody else was faster: the next try tells.
  }
  fs.rmSync(moved, { force: true });
}

/** Held by a process of this machine that is gone, or never finished being written. */
function isStale(file: string): boolean {
  try {
    const text = fs.readFileSync(file, 'utf8');
    if (text === '') return Date.now() - fs.statSync(file).mtimeMs > 10_000;
    const { pid, host } = JSON.parse(text) as { pid?: unknown; host?: unknown };
    if (host !== hostname() || typeof pid !== 'number') return false;
    // In a container the next process may have the number of the last one.
    if (pid === process.pid) return ![...held].some((own) => file.startsWith(own));
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
