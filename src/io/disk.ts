import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { MlserError } from '../errors.js';
import type { InputFiles } from './files.js';
import { finishCommits } from './leftovers.js';
import { resolveInside } from './safe-path.js';
import type { ByteSink } from './sink.js';
import { type ByteSource, checkRange } from './source.js';

/** Text for an operating system error, with the remedy where there is one. */
export function ioError(error: unknown, what: string): MlserError {
  const cause = error as NodeJS.ErrnoException;
  const code = cause.code ?? 'unknown';
  const known: Record<string, readonly [string, string]> = {
    ENOENT: ['does not exist', 'check the path'],
    EACCES: ['permission denied', 'check the permissions of the file and its folder'],
    EPERM: ['not permitted', 'check the permissions of the file and its folder'],
    EROFS: ['the file system is read-only', 'write somewhere else'],
    ENOSPC: ['the disk is full', 'free some space or write to another disk'],
    EDQUOT: ['the disk quota is used up', 'free some space or write to another disk'],
    EFBIG: ['larger than the file size limit', 'raise the limit (ulimit -f) or write shards'],
    EISDIR: ['is a folder', 'name a file'],
    ENOTDIR: ['a part of the path is not a folder', 'check the path'],
    EMFILE: ['too many open files', 'raise the limit (ulimit -n)'],
    ELOOP: ['too many symbolic links', 'check the links'],
    ENAMETOOLONG: ['the name is too long', 'use a shorter name'],
  };
  const [text, hint] = known[code] ?? [cause.message, 'see the operating system error'];
  const missing = code === 'ENOENT' || code === 'ENOTDIR';
  return new MlserError(missing ? 'E_NOT_FOUND' : 'E_IO', `${what}: ${text}`, {
    details: { file: what, errno: code },
    hint,
    cause: error,
  });
}

/** Runs a file system call and turns its error into ours. */
export function withIo<T>(what: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw error instanceof MlserError ? error : ioError(error, what);
  }
}

/** Reads exactly `length` bytes at `offset` into `into`, or throws E_TRUNCATED. Synchronous: pread is faster than a thread hop. */
export function preadExactly(fd: number, into: Uint8Array, offset: number, name: string): void {
  let done = 0;
  while (done < into.byteLength) {
    const got = withIo(name, () => fs.readSync(fd, into, done, into.byteLength - done, offset + done));
    if (got === 0)
      throw new MlserError('E_TRUNCATED', `${name} ended at byte ${offset + done} while it was read`, {
        details: { file: name, offset: offset + done, needed: into.byteLength - done },
        hint: 'the file was shortened while it was read: try again on a finished file',
      });
    done += got;
  }
}

/** Writes all of `bytes` at `offset`: fs.writeSync may write less than asked without an error. */
export function pwriteExactly(fd: number, bytes: Uint8Array, offset: number, name: string): void {
  let done = 0;
  while (done < bytes.byteLength)
    done += withIo(name, () => fs.writeSync(fd, bytes, done, bytes.byteLength - done, offset + done));
}

export interface DiskSource extends ByteSource {
  readonly path: string;
  assertUnchanged(): void;
  close(): void;
}

/** Opens a regular file for reading by position. FIFOs, devices and folders are refused before they are opened. */
export function openDisk(file: string, name: string = path.basename(file)): DiskSource {
  const absolute = path.resolve(file);
  // A main file that is not there may be one that a killed run had taken out of the way.
  if (!fs.existsSync(absolute)) finishCommits(path.dirname(absolute));
  const before = withIo(name, () => fs.statSync(absolute));
  if (!before.isFile())
    throw new MlserError('E_UNSUPPORTED', `${name} is not a regular file`, {
      details: { file: name },
      hint: 'models are read by position: copy a pipe or device into a file first',
    });
  const fd = withIo(name, () => fs.openSync(absolute, 'r'));
  let open = true;
  const source = { name, size: before.size };
  return {
    ...source,
    path: absolute,
    async read(offset, length) {
      checkRange(source, offset, length);
      const bytes = new Uint8Array(length);
      preadExactly(fd, bytes, offset, name);
      return bytes;
    },
    readInto(offset, target) {
      checkRange(source, offset, target.byteLength);
      preadExactly(fd, target, offset, name);
    },
    assertUnchanged() {
      const now = withIo(name, () => fs.statSync(absolute));
      if (now.size !== before.size || now.mtimeMs !== before.mtimeMs || now.ino !== before.ino)
        throw new MlserError('E_CHANGED', `${name} changed while it was read`, {
          details: { file: name },
          hint: 'wait until the writer has finished and try again',
        });
    },
    close() {
      if (open) fs.closeSync(fd);
      open = false;
    },
  };
}

/** The family of files around `main` (a file path) on the local disk. */
export function diskFiles(mainPath: string, label: string = mainPath): InputFiles {
  const folder = path.dirname(path.resolve(mainPath));
  const main = path.basename(mainPath);
  const sources = new Map<string, DiskSource>();
  return {
    main,
    label,
    folder,
    async open(name) {
      const known = sources.get(name);
      if (known) return known;
      const file = name === main ? path.join(folder, main) : resolveInside(folder, main, name);
      const source = openDisk(file, name);
      sources.set(name, source);
      return source;
    },
    async has(name) {
      try {
        const file = name === main ? path.join(folder, main) : resolveInside(folder, main, name);
        return fs.statSync(file).isFile();
      } catch {
        return false;
      }
    },
    async list() {
      finishCommits(folder);
      const entries = withIo(folder, () => fs.readdirSync(folder, { withFileTypes: true }));
      return entries
        .filter((entry) => !entry.isDirectory() && !entry.name.endsWith('.tmp'))
        .map((entry) => entry.name)
        .sort();
    },
    opened: () => [...sources.values()],
    async assertUnchanged() {
      for (const source of sources.values()) source.assertUnchanged();
    },
    async close() {
      for (const source of sources.values()) source.close();
      sources.clear();
    },
  };
}

/** True for a folder that is there; false for anything else, missing or not allowed to be seen. */
export const isFolder = (name: string): boolean => {
  try {
    return fs.statSync(name).isDirectory();
  } catch {
    return false;
  }
};

/** Makes a folder if it is not there. What it returns takes it away again if nothing came into it. */
export function makeFolder(folder: string, options: { readonly parents?: boolean } = {}): () => void {
  if (fs.existsSync(folder)) return () => {};
  withIo(folder, () => fs.mkdirSync(folder, { recursive: options.parents ?? false }));
  return () => {
    if (fs.readdirSync(folder).length === 0) fs.rmdirSync(folder);
  };
}

/** A private folder for files that go again. */
export function scratchFolder(prefix: string): { readonly folder: string; readonly remove: () => void } {
  const folder = withIo(tmpdir(), () => fs.mkdtempSync(path.join(fs.realpathSync(tmpdir()), prefix)));
  return { folder, remove: () => fs.rmSync(folder, { recursive: true, force: true }) };
}

/** True for a file that is there, of whatever kind. */
export const isFile = (name: string): boolean => fs.existsSync(name);

/** True if both paths lead to one file. */
export function isSameFile(a: string, b: string): boolean {
  const [one, two] = [a, b].map((file) => fs.statSync(file, { throwIfNoEntry: false, bigint: true }));
  return one !== undefined && one.dev === two?.dev && one.ino === two.ino;
}

/** Removes a file, if it is there. */
export const removeFile = (file: string): void => withIo(file, () => fs.rmSync(file, { force: true }));

export const joinPath = (folder: string, name: string): string => path.join(folder, name);

/** A new file written by position. */
export interface DiskSink extends ByteSink {
  readonly path: string;
  /** Starts to flush what was written so far, while other work goes on. */
  beginFlush(): void;
  /** Returns when everything is on the disk. */
  finish(): Promise<void>;
  /** Returns when no flush is under way: the descriptor may be closed. */
  settled(): Promise<void>;
  close(): void;
}

/** Files from this size on are flushed while they are written. */
const FLUSH_EARLY_BYTES = 64 << 20;
const FLUSH_PAUSE_MS = 20;

/** `sync: false`: the system may write the file to the disk whenever it likes. */
export function createDiskSink(
  file: string,
  name: string,
  { sync }: { readonly sync: boolean } = { sync: true },
): DiskSink {
  const fd = withIo(name, () => fs.openSync(file, 'wx+', 0o666));
  let size = 0;
  let open = true;
  let finishing = false;
  let flushing: Promise<NodeJS.ErrnoException | undefined> | undefined;
  const write = (offset: number, bytes: Uint8Array): void => {
    try {
      pwriteExactly(fd, bytes, offset, name);
    } catch (error) {
      throw withFreeSpace(error, file, bytes.byteLength);
    }
    size = Math.max(size, offset + bytes.byteLength);
  };
  /**
   * The disk works while the processor does. What went wrong is told by `finish`: a failed fsync is never tried
   * again and called good.
   */
  const flush = async (): Promise<NodeJS.ErrnoException | undefined> => {
    while (open && !finishing) {
      const failed = await new Promise<NodeJS.ErrnoException | null>((done) => fs.fdatasync(fd, done));
      if (failed) return open ? failed : undefined;
      if (!open || finishing) break;
      await new Promise<void>((done) => setTimeout(done, FLUSH_PAUSE_MS));
    }
    return undefined;
  };
  const beginFlush = (): void => {
    if (sync) flushing ??= flush();
  };
  return {
    name,
    path: file,
    get size() {
      return size;
    },
    async writeAt(offset, bytes) {
      write(offset, bytes);
    },
    async append(bytes) {
      write(size, bytes);
    },
    extendTo(end) {
      size = Math.max(size, end);
      if (size >= FLUSH_EARLY_BYTES) beginFlush();
    },
    truncate(end) {
      if (end >= size) return;
      withIo(name, () => fs.ftruncateSync(fd, end));
      size = end;
    },
    beginFlush,
    async finish() {
      finishing = true;
      const failed = await flushing;
      if (failed) throw ioError(failed, name);
      if (sync) withIo(name, () => fs.fsyncSync(fd));
    },
    async settled() {
      finishing = true;
      await flushing;
    },
    close() {
      if (!open) return;
      open = false; // also when it fails: the descriptor is gone then
      fs.closeSync(fd);
    },
  };
}

/** A full disk: also how much is free there, and how much was to be written. */
function withFreeSpace(error: unknown, file: string, needed: number): unknown {
  if (!(error instanceof MlserError) || error.details['errno'] !== 'ENOSPC') return error;
  try {
    const { bavail, bsize } = fs.statfsSync(path.dirname(file));
    return error.with({ needed, free: bavail * bsize });
  } catch {
    return error;
  }
}
