import * as path from 'node:path';
import type { Descriptors } from '../io/descriptors.js';
import { preadExactly } from '../io/disk.js';
import type { Span } from './passengers.js';

/** The largest range that is held: what most tasks read at most, and a bit. */
export const WINDOW_BYTES = 17 << 20;

/** … and what passengers begin before it: a block of what has 64 bits (tasks.ts: BLOCK_ELEMENTS). */
const HELD_BYTES = WINDOW_BYTES + (1 << 20);

/**
 * A range of a file that is read once, when the first of several tasks asks for some of it. Of a larger one than there is
 * room for, a piece is held, from where somebody has asked for more.
 */
export class SourceWindow {
  readonly #files: Descriptors;
  #range: Span | undefined;
  /** What is held. */
  #from: number = 0;
  #to: number = 0;
  #room: Uint8Array | undefined;

  constructor(files: Descriptors) {
    this.#files = files;
  }

  /** What tasks are about to read from; undefined: nothing is held. `goesOn`: what is held of it is what it was. */
  open(range: Span | undefined, goesOn: boolean): void {
    if (!goesOn || this.#range?.path !== range?.path) this.#from = this.#to = 0;
    this.#range = range;
  }

  /** The bytes, until others are asked for; undefined if they are not all in the range. */
  bytes(file: string, offset: number, length: number): Uint8Array | undefined {
    const range = this.#range;
    if (!range || range.path !== file || offset < range.from || offset + length > range.to) return undefined;
    if (offset < this.#from || offset + length > this.#to) {
      if (length > HELD_BYTES) return undefined;
      this.#fill(range, offset);
    }
    return this.#room?.subarray(offset - this.#from, offset - this.#from + length);
  }

  #fill({ path: file, from, to }: Span, offset: number): void {
    this.#room ??= new Uint8Array(HELD_BYTES);
    const first = to - from <= HELD_BYTES ? from : offset;
    const last = Math.min(to, first + HELD_BYTES);
    // What was held behind its begin moves there.
    const kept = this.#from <= first ? Math.max(0, Math.min(this.#to, last) - first) : 0;
    if (kept > 0) this.#room.copyWithin(0, first - this.#from, first - this.#from + kept);
    [this.#from, this.#to] = [first, last];
    this.#range = undefined; // nothing, if it cannot be read
    preadExactly(
      this.#files.reader(file),
      this.#room.subarray(kept, last - first),
      first + kept,
      path.basename(file),
    );
    this.#range = { path: file, from, to };
  }
}
