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

/**
 * A range of a file that is read once, when the first of several tasks asks for some of it. Of a larger one than there is
 * room for, a piece is held, from where somebody has asked for more.
 */
export class SourceWindow {
  readonly #files: Descriptors;
  #range: WindowRange | undefined;
  /** What is held. */
  #from: number = 0;
  #to: number = 0;
  #room: Uint8Array | undefined;

  constructor(files: Descriptors) {
    this.#files = files;
  }

  /** What tasks are about to read from; undefined: nothing is held. */
  open(range: WindowRange | undefined): void {
    this.#range = range;
    this.#from = this.#to = 0;
  }

  /** The bytes, until others are asked for; undefined if they are not all in the range. */
  bytes(file: string, offset: number, length: number): Uint8Array | undefined {
    const range = this.#range;
    if (!range || range.path !== file || offset < range.from || offset + length > range.to) return undefined;
    if (offset < this.#from || offset + length > this.#to) {
      if (length > WINDOW_BYTES) return undefined;
      this.#fill(range, offset);
    }
    return this.#room?.subarray(offset - this.#from, offset - this.#from + length);
  }

  #fill({ path: file, from, to }: WindowRange, offset: number): void {
    this.#room ??= new Uint8Array(WINDOW_BYTES);
    this.#from = to - from <= WINDOW_BYTES ? from : offset;
    this.#to = Math.min(to, this.#from + WINDOW_BYTES);
    const held = this.#room.subarray(0, this.#to - this.#from);
    this.#range = undefined; // nothing, if it cannot be read
    preadExactly(this.#files.reader(file), held, this.#from, path.basename(file));
    this.#range = { path: file, from, to };
  }
}
