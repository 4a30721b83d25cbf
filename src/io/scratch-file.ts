import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { pwriteExactly, withIo } from './disk.js';
import { removeStaleStaging, stagingName } from './leftovers.js';

const active = new Set<string>();
let watched = false;

/** A file in the folder of a scratch area, filled from the front. */
export interface ScratchFile {
  readonly name: string;
  readonly size: number;
  append(bytes: Uint8Array): void;
  /** Goes to the next multiple of `alignment`. */
  align(alignment: number): void;
  /** The file goes; whoever has it mapped keeps its bytes. */
  remove(): void;
}

/**
 * A private folder for bytes that another process is to read. It goes with `remove`, or when this process ends; what a killed
 * one left goes a day later, when another makes scratch files, as staging folders do.
 */
export interface Scratch {
  readonly folder: string;
  create(): ScratchFile;
  remove(): void;
}

export function createScratch(): Scratch {
  const home = withIo(tmpdir(), () => fs.realpathSync(tmpdir()));
  const folder = path.join(home, stagingName('mlser-scratch'));
  withIo(home, () => fs.mkdirSync(folder, { mode: 0o700 }));
  active.add(folder);
  if (!watched) {
    process.once('exit', removeAll);
    removeStaleStaging(home);
  }
  watched = true;
  let number = 0;
  return {
    folder,
    create: () => createFile(folder, `${number++}.bin`),
    remove() {
      fs.rmSync(folder, { recursive: true, force: true });
      active.delete(folder);
    },
  };
}

function removeAll(): void {
  for (const folder of active) fs.rmSync(folder, { recursive: true, force: true });
}

function createFile(folder: string, name: string): ScratchFile {
  const file = path.join(folder, name);
  const fd = withIo(file, () => fs.openSync(file, 'wx', 0o600));
  let size = 0;
  return {
    name,
    get size() {
      return size;
    },
    append(bytes) {
      pwriteExactly(fd, bytes, size, file);
      size += bytes.byteLength;
    },
    align(alignment) {
      size = Math.ceil(size / alignment) * alignment;
    },
    remove() {
      fs.closeSync(fd);
      fs.rmSync(file, { force: true });
    },
  };
}
