import * as fs from 'node:fs';
import * as path from 'node:path';
import { ioError, isFolder, withIo } from './disk.js';
import { type Identity, identityOf, rollBack, rollForward, syncFolder, writeJournal } from './journal.js';
import { existsError } from './target.js';

export interface Publication {
  /** Replace what is there. */
  readonly force: boolean;
  /** Flush the folder, so that the new name survives a power cut. */
  readonly sync: boolean;
  /** Files that are out of date once the family is there. */
  readonly retired: readonly string[];
}

/**
 * Moves finished files of a family from `staging` into `folder`; the last name is the main file. One file is renamed
 * into its place. Several are moved by a journal: if one cannot be moved, those that were are taken back; if we are
 * killed, the next run brings it to its end. Without `force` a file that was made meanwhile is kept (E_EXISTS).
 */
export function publish(
  names: readonly string[],
  staging: string,
  folder: string,
  options: Publication,
): void {
  const [only] = names;
  if (only !== undefined && names.length === 1 && options.retired.length === 0) {
    publishOne(path.join(staging, only), path.join(folder, only), options.force);
    if (options.sync) syncFolder(folder);
    return;
  }
  const steps = names.map((name) => {
    const to = path.join(folder, name);
    const old = withIo(to, () => identityOf(to));
    if (old && !options.force) throw existsError(to);
    if (isFolder(to)) throw ioError({ code: 'EISDIR' }, to);
    keepMode(path.join(staging, name), to);
    return { name, fresh: staged(path.join(staging, name)), ...(old ? { old } : {}) };
  });
  const retired = options.retired.flatMap((name) => {
    const old = identityOf(path.join(folder, name));
    return old ? [{ name, old }] : [];
  });
  const journal = withIo(folder, () => writeJournal(staging, folder, { steps, retired }));
  try {
    rollForward(journal, staging, folder);
  } catch (error) {
    try {
      rollBack(journal, staging, folder);
    } catch {
      // The first error is the one to tell; the journal stays for the next run.
    }
    const { code, dest } = error as NodeJS.ErrnoException & { readonly dest?: string };
    if (code === 'EEXIST' && dest !== undefined) throw existsError(dest);
    throw withIo(dest ?? folder, () => {
      throw error;
    });
  }
}

function staged(file: string): Identity {
  const found = withIo(file, () => identityOf(file));
  if (!found) throw new Error(`${file} is not staged`);
  return found;
}

function publishOne(from: string, to: string, force: boolean): void {
  const old = keepMode(from, to);
  if (old && !force) throw existsError(to);
  if (!force && linkedAnew(from, to)) fs.unlinkSync(from);
  else withIo(to, () => fs.renameSync(from, to));
}

/** A replaced file keeps its mode. True if there is one. */
function keepMode(from: string, to: string): boolean {
  const old = withIo(to, () => fs.statSync(to, { throwIfNoEntry: false }));
  if (old) withIo(to, () => fs.chmodSync(from, old.mode & 0o7777));
  return old !== undefined;
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
