import * as fs from 'node:fs';
import { hostname } from 'node:os';
import * as path from 'node:path';

/** A file as the journal knows it again: renaming changes none of these. */
export interface Identity {
  readonly ino: string;
  readonly size: string;
  readonly mtimeNs: string;
}

/** A staged file that goes to its place; the last step of a journal is the main file. */
export interface Step {
  readonly name: string;
  readonly fresh: Identity;
  /** What was at the place. */
  readonly old?: Identity;
}

/** A file that goes, as it was. */
export interface Retired {
  readonly name: string;
  readonly old: Identity;
}

/**
 * The moves of a family of files, written down before the first of them. A main file is out of the way while files
 * that it names are replaced: whoever looks sees the old family, none, or the new one, and never a mix.
 */
export interface Journal {
  readonly version: 1;
  readonly host: string;
  readonly steps: readonly Step[];
  /**
   * Files that go when the family is there: what was at the target, where the main file has another name, and data files
   * of the old family that the new one does not need.
   */
  readonly retired?: readonly Retired[];
}

/** Once it is there the new family is meant to be there; `UNDO` in its place: the old one. */
const COMMIT = '.mlser-commit.json';
const UNDO = '.mlser-undo.json';
const aside = (staging: string, index: number): string => path.join(staging, `.mlser-old-${index}`);

export function identityOf(file: string): Identity | undefined {
  const stat = fs.lstatSync(file, { throwIfNoEntry: false, bigint: true });
  return stat && { ino: String(stat.ino), size: String(stat.size), mtimeNs: String(stat.mtimeNs) };
}

const same = (a: Identity | undefined, b: Identity | undefined): boolean =>
  a !== undefined && b !== undefined && a.ino === b.ino && a.size === b.size && a.mtimeNs === b.mtimeNs;

/** Puts the journal into `staging`, on the disk before this returns. */
export function writeJournal(
  staging: string,
  folder: string,
  moves: Pick<Journal, 'steps' | 'retired'>,
): Journal {
  const journal: Journal = { version: 1, host: hostname(), ...moves };
  const unfinished = path.join(staging, '.mlser-journal');
  const fd = fs.openSync(unfinished, 'wx', 0o600);
  try {
    fs.writeSync(fd, JSON.stringify(journal));
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
  fs.renameSync(unfinished, path.join(staging, COMMIT));
  syncFolder(staging);
  syncFolder(folder);
  return journal;
}

/** True if moves of this staging folder are written down and not done. */
export const hasJournal = (staging: string): boolean =>
  fs.existsSync(path.join(staging, COMMIT)) || fs.existsSync(path.join(staging, UNDO));

/** Does what is left of the moves, then forgets them. Fails where a file was made meanwhile at a place that was free. */
export function rollForward(journal: Journal, staging: string, folder: string): void {
  const { steps, retired = [] } = journal;
  const last = steps.length - 1;
  const place = (index: number): void => {
    const step = steps[index];
    if (!step) return;
    const from = path.join(staging, step.name);
    const to = path.join(folder, step.name);
    if (!fs.existsSync(from)) return;
    if (step.old === undefined) linkAnew(from, to, step.fresh);
    else fs.renameSync(from, to);
  };
  const putAside = (index: number, name: string, fresh?: Identity): void => {
    const found = identityOf(path.join(folder, name));
    if (found && !same(found, fresh)) fs.renameSync(path.join(folder, name), aside(staging, index));
  };
  const data = steps.slice(0, last);
  const main = steps[last];
  // No file that an existing main file names is touched: the main file is simply replaced in one step.
  const clashes = data.some(({ old }) => old !== undefined);
  if (clashes && main?.old) putAside(last, main.name, main.fresh);
  data.forEach((step, index) => {
    if (step.old) putAside(index, step.name, step.fresh);
    place(index);
  });
  place(last);
  retired.forEach(({ name }, index) => {
    putAside(steps.length + index, name);
  });
  syncFolder(folder);
  fs.rmSync(path.join(staging, COMMIT), { force: true });
}

/** Takes the moves back: what was replaced returns, what is new goes. */
export function rollBack(journal: Journal, staging: string, folder: string): void {
  const { steps, retired = [] } = journal;
  if (fs.existsSync(path.join(staging, COMMIT)))
    fs.renameSync(path.join(staging, COMMIT), path.join(staging, UNDO));
  // The main file of the new family goes first, that of the old one returns last.
  const all = [...steps.map(({ name, fresh }, index) => ({ name, fresh, index }))];
  for (const { name, fresh } of [...all].reverse())
    if (same(identityOf(path.join(folder, name)), fresh)) fs.rmSync(path.join(folder, name));
  const names = [...all, ...retired.map(({ name }, index) => ({ name, index: steps.length + index }))];
  for (const { name, index } of names) {
    const to = path.join(folder, name);
    if (fs.existsSync(aside(staging, index)) && !identityOf(to)) fs.renameSync(aside(staging, index), to);
  }
  syncFolder(folder);
  fs.rmSync(path.join(staging, UNDO), { force: true });
}

/**
 * Brings the moves of a process that is gone to their end. False if there are none, if they are of another machine
 * (whose processes are not seen from here), or if somebody has changed the files since: then nothing is touched.
 */
export function recover(staging: string, folder: string): boolean {
  const undo = fs.existsSync(path.join(staging, UNDO));
  const journal = readJournal(path.join(staging, undo ? UNDO : COMMIT));
  if (!journal || journal.host !== hostname()) return false;
  const { steps, retired = [] } = journal;
  const known = steps.every(({ name, old, fresh }) => {
    const found = identityOf(path.join(folder, name));
    return !found || same(found, old) || same(found, fresh);
  });
  const unchanged = retired.every(({ name, old }) => {
    const found = identityOf(path.join(folder, name));
    return !found || same(found, old);
  });
  if (!known || !unchanged) return false;
  (undo ? rollBack : rollForward)(journal, staging, folder);
  return true;
}

/** undefined unless it is a journal of ours; names that lead out of the folder are none. */
function readJournal(file: string): Journal | undefined {
  if (!fs.existsSync(file) || !fs.lstatSync(file).isFile()) return undefined;
  const value: unknown = JSON.parse(fs.readFileSync(file, 'utf8'));
  if (!isJournal(value)) return undefined;
  const names = [...value.steps, ...(value.retired ?? [])].map(({ name }) => name);
  return names.every((name) => path.basename(name) === name && name !== '..') ? value : undefined;
}

function isJournal(value: unknown): value is Journal {
  if (typeof value !== 'object' || value === null) return false;
  const { version, host, steps, retired } = value as Partial<Record<keyof Journal, unknown>>;
  const named = (item: unknown): boolean =>
    typeof item === 'object' && item !== null && typeof (item as { name?: unknown }).name === 'string';
  return (
    version === 1 &&
    typeof host === 'string' &&
    Array.isArray(steps) &&
    steps.length > 0 &&
    steps.every(named) &&
    (retired === undefined || (Array.isArray(retired) && retired.every(named)))
  );
}

/** Where rename would replace a file that somebody made meanwhile, a link fails with EEXIST. */
function linkAnew(from: string, to: string, fresh: Identity): void {
  try {
    fs.linkSync(from, to);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Linked, and killed before the other name went.
    if (code === 'EEXIST' && !same(identityOf(to), fresh)) throw error;
    if (code !== 'EEXIST') {
      fs.renameSync(from, to); // no hard links here
      return;
    }
  }
  fs.unlinkSync(from);
}

export function syncFolder(folder: string): void {
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
