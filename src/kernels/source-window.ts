import * as path from 'node:path';
import type { Descriptors } from '../io/descriptors.js';
import { preadExactly } from '../io/disk.js';

/** The largest range that is held: what most tasks read at most, and a bit. */
export const WINDOW_BYTES = 17 << 20;

/** A range of a file. */
export interface WindowRange {
  readonly path: string;
  readonly from: number;
  readonly to: number;
}

/** A range of a file that is read once, when the first of several tasks asks for some of it. */
export class SourceWindow {
  readonly #files: Descriptors;
  #range: WindowRange | undefined;
  #filled: boolean = false;
  #room: Uint8Array | undefined;

  constructor(files: Descriptors) {
    this.#files = files;
  }

  /** What tasks are about to read from; undefined: nothing is held. */
  open(range: WindowRange | undefined): void {
    this.#range = range;
    this.#filled = false;
  }

  /** The bytes, until the window is opened elsewhere; undefined if they are not all in it. */
  bytes(file: string, offset: number, length: number): Uint8Array | undefined {
    const range = this.#range;
    if (!range || range.path !== file || offset < range.from || offset + length > range.to) return undefined;
    if (!this.#filled) this.#fill(range);
    return this.#room?.subarray(offset - range.from, offset - range.from + length);
  }

  #fill({ path: file, from, to }: WindowRange): void {
    this.#room ??= new Uint8Array(WINDOW_BYTES);
    preadExactly(this.#files.reader(file), this.#room.subarray(0, to - from), from, path.basename(file));
    this.#filled = true;
  }
}
