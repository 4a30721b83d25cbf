import * as fs from 'node:fs';
import * as path from 'node:path';
import { MlserError } from '../errors.js';
import { ioError, withIo } from './disk.js';
import { takeLock } from './lock.js';

/** A private folder in which long work keeps what is finished, for a later run to go on with. */
export interface WorkFolder {
  readonly folder: string;
  /** A sub-folder with nothing in it; absolute. */
  emptied(name: string): string;
  /** What `record` wrote; undefined where there is none. */
  recorded(name: string): Uint8Array | undefined;
  /** Written whole or not at all. */
  record(name: string, text: string): void;
  forget(name: string): void;
  /** Nothing is finished yet. */
  clear(): void;
  /** Something in it was finished. */
  isOfUse(): boolean;
  /** Removes all that is ours, and the folder if nothing else is in it. */
  remove(): void;
  /** Gives it to the next run. A folder in which nothing was finished does not stay. */
  release(): void;
}

const active = new Set<WorkFolder>();

/** Folders of this process in which nothing was finished go: called on signals and on exit. */
export function releaseWorkFolders(): void {
  for (const work of active)
    try {
      work.release();
    } catch {
      // A full or vanished disk must not keep the others.
    }
}

/** What may be in such a folder, and may be removed. */
const OURS = /^(step-\d+(\.json(\.\d+\.tmp)?)?|lock(\..*)?)$/;
const LOCK = 'lock';

/** The folder that it lies in must be there. @throws E_USAGE if another run is at work in it. */
export function openWorkFolder(folder: string): WorkFolder {
  const absolute = path.resolve(folder);
  const at = (name: string): string => path.join(absolute, name);
  const made = !fs.existsSync(absolute);
  withIo(folder, () => made && fs.mkdirSync(absolute, { mode: 0o700 }));
  if (!fs.statSync(absolute).isDirectory()) throw ioError({ code: 'ENOTDIR' }, folder);
  const unlock = takeLock(at(LOCK));
  if (!unlock)
    throw new MlserError('E_USAGE', `${folder}: another run is at work there`, {
      details: { folder },
      hint: 'wait until it has ended, or name another folder with --work',
    });
  const ours = (): string[] => fs.readdirSync(absolute).filter((name) => OURS.test(name));
  const clear = (): void => {
    for (const name of ours()) if (name !== LOCK) fs.rmSync(at(name), { recursive: true, force: true });
  };
  const remove = (): void => {
    clear();
    unlock();
    if (fs.readdirSync(absolute).length === 0) fs.rmdirSync(absolute);
  };
  const isOfUse = (): boolean => ours().some((name) => /^step-\d+\.json$/.test(name));
  const work: WorkFolder = {
    folder: absolute,
    isOfUse,
    emptied(name) {
      fs.rmSync(at(name), { recursive: true, force: true });
      withIo(folder, () => fs.mkdirSync(at(name), { mode: 0o700 }));
      return at(name);
    },
    recorded(name) {
      return fs.existsSync(at(name)) ? withIo(name, () => fs.readFileSync(at(name))) : undefined;
    },
    record(name, text) {
      const staged = `${at(name)}.${process.pid}.tmp`;
      withIo(name, () => fs.writeFileSync(staged, text));
      withIo(name, () => fs.renameSync(staged, at(name)));
    },
    forget(name) {
      fs.rmSync(at(name), { recursive: true, force: true });
    },
    clear,
    remove() {
      active.delete(work);
      remove();
    },
    release() {
      active.delete(work);
      if (made && !isOfUse()) remove();
      else unlock();
    },
  };
  active.add(work);
  return work;
}

/** Tells one state of a file from another without reading it. E_NOT_FOUND if it is not there. */
export function stampOf(file: string): string {
  const { size, mtimeNs, ino } = withIo(file, () => fs.statSync(file, { bigint: true }));
  return `${size}-${mtimeNs}-${ino}`;
}
