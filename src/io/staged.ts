import * as fs from 'node:fs';
import * as path from 'node:path';
import { MlserError } from '../errors.js';
import { createDiskSink, type DiskSink, diskFiles, ioError, isSameFile, withIo } from './disk.js';
import type { OutputFiles } from './files.js';
import { hasJournal } from './journal.js';
import { finishCommits, removeStaleStaging, stagingName } from './leftovers.js';
import { publish } from './publish.js';
import { checkTarget, resolveTarget } from './target.js';

const active = new Set<string>();

/** Removes what unfinished outputs of this process left: called on signals and on exit. */
export function removeStagedLeftovers(): void {
  for (const folder of active)
    try {
      if (!hasJournal(folder)) fs.rmSync(folder, { recursive: true, force: true });
    } catch {
      // A full or vanished disk must not keep the others.
    }
  active.clear();
}

export interface StageOptions {
  /** Replace what is there. */
  readonly force: boolean;
  /** Flush to the disk before the output appears (default). */
  readonly sync?: boolean;
  /**
   * Absolute paths of the files that are read meanwhile. Writing over one of them needs `force` as any replacement
   * does (E_EXISTS says that it is the input), and is safe: the old file stays readable until it is closed.
   */
  readonly inputs?: readonly string[];
}

/**
 * Output files at `target`, staged in a private folder `.NAME.<pid>-<random>.tmp` beside it (same file system,
 * so that a rename is atomic) under their final names, so that files of a family find each other before commit.
 * A target that is a symbolic link stands for the file it points to.
 */
export function stageOutput(target: string, options: StageOptions): OutputFiles {
  const absolute = resolveTarget(target);
  const folder = path.dirname(absolute);
  const named = path.basename(absolute);
  let main = named;
  if (!fs.existsSync(folder)) throw ioError({ code: 'ENOENT' }, folder);
  finishCommits(folder);
  const old = checkTarget(absolute, target, options);

  removeStaleStaging(folder);
  const staging = path.join(folder, stagingName(named));
  withIo(folder, () => fs.mkdirSync(staging, { mode: 0o700 }));
  active.add(staging);
  const sinks = new Map<string, DiskSink>();
  const retired = new Set<string>();
  /** Closes and removes all that is staged, whatever else goes wrong. */
  const discard = (): void => {
    for (const sink of sinks.values())
      try {
        sink.close();
      } catch {
        // What is thrown away need not have reached the disk.
      }
    try {
      // Files that could not be put back are kept with the journal that says where they belong.
      if (!hasJournal(staging)) fs.rmSync(staging, { recursive: true, force: true });
      active.delete(staging);
    } catch {
      // Tried again when the process ends; what happened before is what has to be told.
    }
  };

  return {
    get main() {
      return main;
    },
    setMain(name) {
      main = name;
    },
    taken: (name) => fs.existsSync(path.join(folder, name)),
    async create(name) {
      if (path.basename(name) !== name)
        throw new MlserError('E_UNSAFE', `output name ${JSON.stringify(name)} is not a file name`, {
          details: { file: name },
        });
      if (sinks.has(name))
        throw new MlserError('E_USAGE', `two output files are named ${name}`, { details: { file: name } });
      if (name !== named) checkTarget(path.join(folder, name), name, options);
      const sink = createDiskSink(path.join(staging, name), name, { sync: options.sync ?? true });
      sinks.set(name, sink);
      return sink;
    },
    retire(name) {
      const file = path.join(folder, name);
      if (!old || path.basename(name) !== name || !fs.lstatSync(file, { throwIfNoEntry: false })?.isFile())
        return;
      if (!(options.inputs ?? []).some((input) => isSameFile(input, file))) retired.add(name);
    },
    borrow(name) {
      const file = path.join(folder, name);
      if (path.basename(name) !== name || sinks.has(name)) return false;
      if (!fs.lstatSync(file, { throwIfNoEntry: false })?.isFile()) return false;
      try {
        fs.linkSync(file, path.join(staging, name));
        return true;
      } catch {
        return false;
      }
    },
    async stage() {
      // The disk works while the gate looks at the files: on commit most is there already.
      for (const sink of sinks.values()) sink.beginFlush();
      return diskFiles(path.join(staging, main), target);
    },
    async commit() {
      if (!sinks.has(main)) throw new Error(`nothing was written to ${main}`);
      for (const sink of sinks.values()) await sink.finish();
      for (const sink of sinks.values()) withIo(sink.name, () => sink.close());
      // Data files first, the file that names them last: an interruption never shows a model without its data.
      const names = [...sinks.keys()].filter((name) => name !== main);
      if (old && !sinks.has(named)) retired.add(named);
      publish([...names, main], staging, folder, {
        force: options.force,
        sync: options.sync ?? true,
        retired: [...retired].filter((name) => !sinks.has(name)),
      });
      discard();
    },
    async abort() {
      discard();
    },
  };
}
