import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { MlserError } from '../errors.js';
import { createDiskSink, type DiskSink, diskFiles, ioError, withIo } from './disk.js';
import type { OutputFiles } from './files.js';

const active = new Set<string>();

/** Removes what unfinished outputs of this process left: called on signals and on exit. */
export function removeStagedLeftovers(): void {
  for (const folder of active) fs.rmSync(folder, { recursive: true, force: true });
  active.clear();
}

const exists = (error: string): MlserError =>
  new MlserError('E_EXISTS', `${error} exists`, {
    details: { file: error },
    hint: 'use --force to replace it, or name another output',
  });

/**
 * Output files at `target`, staged in a private folder `.NAME.<pid>-<random>.tmp` beside it (same file system,
 * so that a rename is atomic) under their final names, so that files of a family find each other before commit.
 */
export function stageOutput(target: string, options: { force: boolean }): OutputFiles {
  const absolute = path.resolve(target);
  const folder = path.dirname(absolute);
  const named = path.basename(absolute);
  let main = named;
  const old = fs.statSync(absolute, { throwIfNoEntry: false });
  if (old?.isDirectory()) throw ioError({ code: 'EISDIR' }, target);
  if (old && !old.isFile())
    throw new MlserError('E_UNSUPPORTED', `${target} is not a regular file`, {
      details: { file: target },
      hint: 'outputs are proved and renamed into place: name a regular file',
    });
  if (old && !options.force) throw exists(target);
  if (!fs.existsSync(folder)) throw ioError({ code: 'ENOENT' }, folder);

  const staging = path.join(folder, `.${named}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`);
  withIo(folder, () => fs.mkdirSync(staging));
  active.add(staging);
  const sinks = new Map<string, DiskSink>();
  const finish = (): void => {
    for (const sink of sinks.values()) sink.close();
    fs.rmSync(staging, { recursive: true, force: true });
    active.delete(staging);
  };

  const taken = (name: string): boolean => fs.existsSync(path.join(folder, name));

  return {
    get main() {
      return main;
    },
    setMain(name) {
      main = name;
    },
    taken,
    async create(name) {
      if (path.basename(name) !== name)
        throw new MlserError('E_UNSAFE', `output name ${JSON.stringify(name)} is not a file name`, {
          details: { file: name },
        });
      if (sinks.has(name))
        throw new MlserError('E_USAGE', `two output files are named ${name}`, { details: { file: name } });
      if (!options.force && taken(name)) throw exists(name);
      const sink = createDiskSink(path.join(staging, name), name);
      sinks.set(name, sink);
      return sink;
    },
    async stage() {
      return diskFiles(path.join(staging, main), target);
    },
    async commit() {
      if (!sinks.has(main)) throw new Error(`nothing was written to ${main}`);
      for (const sink of sinks.values()) sink.finish();
      for (const sink of sinks.values()) sink.close();
      // Data files first, the file that names them last: an interruption never shows a model without its data.
      const names = [...sinks.keys()].filter((name) => name !== main);
      for (const name of [...names, main])
        publish(path.join(staging, name), path.join(folder, name), options.force);
      if (old && !sinks.has(named)) withIo(named, () => fs.unlinkSync(absolute));
      syncFolder(folder);
      finish();
    },
    async abort() {
      finish();
    },
  };
}

/** Moves a finished file into place. A replaced file keeps its mode; without force a file made meanwhile is kept. */
function publish(from: string, to: string, force: boolean): void {
  const old = fs.statSync(to, { throwIfNoEntry: false });
  if (old && !force) throw exists(to);
  if (old) withIo(to, () => fs.chmodSync(from, old.mode & 0o7777));
  if (force) return withIo(to, () => fs.renameSync(from, to));
  try {
    fs.linkSync(from, to); // fails if somebody made the file meanwhile, where rename would replace it
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EEXIST') throw exists(to);
    return withIo(to, () => fs.renameSync(from, to)); // file systems without hard links
  }
  fs.unlinkSync(from);
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
