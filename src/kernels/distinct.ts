import { viewAs } from './views.js';

/** More different values than this are not counted. */
export const DISTINCT_LIMIT = 65536;
/**
 * A look at the first elements of a large tensor. Drawn from DISTINCT_LIMIT values in any usual order, 8192 elements
 * would repeat some 500 times; with fewer than a third of that there are more values, and counting is given up.
 */
const LOOK_ELEMENTS = 8192;
const LOOK_DISTINCT = 8000;
/** Tensors of at most this many elements are always counted. */
const COUNTED_ELEMENTS = 1 << 18;

/** Elements as 32-bit words: how many each has. */
export type Words = 1 | 2;

/** At most half full; small enough to stay in the cache. */
const SLOTS = 1 << 17;

/** Counts different 32- or 64-bit patterns, up to DISTINCT_LIMIT. Open addressing in fixed memory, for reuse. */
export class DistinctSet {
  /** Bits of the element in a slot; zero marks a free one, and the element zero is kept apart. */
  readonly #low = new Uint32Array(SLOTS);
  readonly #high = new Uint32Array(SLOTS);
  #zeros = 0;
  #size = 0;

  /** Whether the upper halves were used since they were cleared: clearing costs as much as a tensor's work. */
  #wide: boolean = false;

  /** This set, empty. */
  cleared(): this {
    this.#low.fill(0);
    if (this.#wide) this.#high.fill(0);
    this.#wide = false;
    this.#zeros = 0;
    this.#size = 0;
    return this;
  }

  /** Undefined once there are more than the limit. */
  get size(): number | undefined {
    return this.#size > DISTINCT_LIMIT ? undefined : this.#size;
  }

  /** After LOOK_ELEMENTS elements: whether it is worth going on. */
  get isPromising(): boolean {
    return this.#size < LOOK_DISTINCT;
  }

  /** Adds elements given as 32-bit words (1 or 2 each). False once there are too many. */
  add(words: Uint32Array, perElement: 1 | 2): boolean {
    if (perElement === 1) return this.#addSingles(words);
    this.#wide = true;
    const [lows, highs] = [this.#low, this.#high];
    for (let i = 0; i < words.length; i += 2) {
      const low = words[i] ?? 0;
      const high = words[i + 1] ?? 0;
      if ((low | high) === 0) {
        this.#addZero();
        continue;
      }
      let at = Math.imul(low ^ Math.imul(high, 0x85ebca6b), 0x9e3779b1) >>> 15;
      let x = lows[at] ?? 0;
      let y = highs[at] ?? 0;
      while ((x | y) !== 0 && (x !== low || y !== high)) {
        at = (at + 1) & (SLOTS - 1);
        x = lows[at] ?? 0;
        y = highs[at] ?? 0;
      }
      if ((x | y) !== 0) continue;
      lows[at] = low;
      highs[at] = high;
      if (++this.#size > DISTINCT_LIMIT) return false;
    }
    return this.#size <= DISTINCT_LIMIT;
  }

  /** The same for 32-bit elements, which are most: one table, one look. */
  #addSingles(words: Uint32Array): boolean {
    const table = this.#low;
    let size = this.#size;
    for (let i = 0; i < words.length; i++) {
      const word = words[i] ?? 0;
      if (word === 0) {
        this.#size = size;
        this.#addZero();
        size = this.#size;
        continue;
      }
      let at = Math.imul(word, 0x9e3779b1) >>> 15;
      let found = table[at] ?? 0;
      while (found !== 0 && found !== word) {
        at = (at + 1) & (SLOTS - 1);
        found = table[at] ?? 0;
      }
      if (found !== 0) continue;
      table[at] = word;
      if (++size > DISTINCT_LIMIT) break;
    }
    this.#size = size;
    return size <= DISTINCT_LIMIT;
  }

  #addZero(): void {
    if (this.#zeros === 0) this.#size++;
    this.#zeros++;
  }
}

/** Counts the different elements of one tensor, whose blocks come in order; gives up early on those with too many. */
export class DistinctCount {
  readonly #set: DistinctSet;
  readonly #words: Words;
  #looked: boolean;
  #given: boolean = false;

  /** `set`: an empty one. `count`: elements of the tensor. */
  constructor(set: DistinctSet, words: Words, count: number) {
    this.#set = set;
    this.#words = words;
    this.#looked = count <= COUNTED_ELEMENTS;
  }

  /** Whether more would be of use. */
  get isOpen(): boolean {
    return !this.#given;
  }

  add(bytes: Uint8Array, count: number): void {
    if (this.#given) return;
    const words = this.#words;
    if (!this.#looked) {
      this.#set.add(viewAs(Uint32Array, bytes, LOOK_ELEMENTS * words), words);
      this.#looked = true;
      this.#given = !this.#set.isPromising;
      if (this.#given) return;
    }
    this.#given = !this.#set.add(viewAs(Uint32Array, bytes, count * words), words);
  }

  /** Undefined: more than DISTINCT_LIMIT. */
  get result(): number | undefined {
    return this.#given ? undefined : this.#set.size;
  }
}

/** A look at the first elements of a large tensor: whether it is worth counting them. */
export function isWorthCounting(set: DistinctSet, bytes: Uint8Array, words: Words): boolean {
  set.add(viewAs(Uint32Array, bytes, LOOK_ELEMENTS * words), words);
  return set.isPromising;
}
