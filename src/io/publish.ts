import * as fs from 'node:fs';
import * as path from 'node:path';
import { withIo } from './disk.js';
import { existsError } from './target.js';

/**
 * Moves finished files of a family from `staging` into `folder`, in the order given. If one cannot be moved, those
 * that were are taken back: files that were replaced return, new ones go. Without `force` a file that was made
 * meanwhile is kept (E_EXISTS).
 */
export function publish(
  names: readonly string[],
  staging: string,
  folder: string,
  options: { readonly force: boolean },
): void {
  const undo: (() => void)[] = [];
  try {
    for (const [index, name] of names.entries()) {
      const to = path.join(folder, name);
      const backup = keepOld(to, path.join(staging, `.old-${index}`));
      publishOne(path.join(staging, name), to, options.force);
      undo.push(() => (backup === undefined ? fs.rmSync(to, { force: true }) : fs.renameSync(backup, to)));
    }
  } catch (error) {
    for (const step of undo.reverse())
      try {
        step();
      } catch {
        // The first error is the one to tell.
      }
    throw error;
  }
  syncFolder(folder);
}

/** A second name for the file that is about to be replaced. undefined: there is none, or no hard links. */
function keepOld(file: string, backup: string): string | undefined {
  try {
    fs.linkSync(file, backup);
    return backup;
  } catch {
    return undefined;
  }
}

/** A replaced file keeps its mode. */
function publishOne(from: string, to: string, force: boolean): void {
  const old = withIo(to, () => fs.statSync(to, { throwIfNoEntry: false }));
  if (old && !force) throw existsError(to);
  if (old) withIo(to, () => fs.chmodSync(from, old.mode & 0o7777));
  if (!force && linkedAnew(from, to)) fs.unlinkSync(from);
  else withIo(to, () => fs.renameSync(from, to));
}

/** Fails with E_EXISTS if somebody made the file meanwhile, where rename would replace it; false: no hard links here. */
function linkedAnew(from: string, to: string): boolean {
  try {
    fs.linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw existsError(to);
    return false;
  }
}

function syncFolder(folder: string): void {
  try {
    const fd = fs.openSync(folder, 'r');
    try {
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
  } catch {
    // Some file systems cannot sync a folder; the files themselves are synced.
  }
}
