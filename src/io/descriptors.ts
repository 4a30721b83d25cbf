import * as fs from 'node:fs';
import * as path from 'node:path';
import { withIo } from './disk.js';

/** Descriptors kept open at the same time by one thread. */
const LIMIT = 32;

/** Files opened once for many reads or writes by position; the longest unused is closed first. */
export class Descriptors {
  readonly #open = new Map<string, number>();

  reader(file: string): number {
    return this.#get(file, 'r');
  }

  /** For writing into a file that is already there. */
  writer(file: string): number {
    return this.#get(file, 'r+');
  }

  closeAll(): void {
    for (const fd of this.#open.values()) fs.closeSync(fd);
    this.#open.clear();
  }

  #get(file: string, flags: 'r' | 'r+'): number {
    const key = `${flags} ${file}`;
    const known = this.#open.get(key);
    if (known !== undefined) {
      // Last in the order of insertion is last used.
      this.#open.delete(key);
      this.#open.set(key, known);
      return known;
    }
    const fd = withIo(path.basename(file), () => fs.openSync(file, flags));
    const [oldest] = this.#open;
    if (this.#open.size >= LIMIT && oldest) {
      this.#open.delete(oldest[0]);
      fs.closeSync(oldest[1]);
    }
    this.#open.set(key, fd);
    return fd;
  }
}

/** A small file that belongs to this package, whole. */
export const readOwnFile = (url: URL): Uint8Array => fs.readFileSync(url);
