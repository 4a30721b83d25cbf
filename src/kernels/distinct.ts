/** More different values than this are not counted. */
export const DISTINCT_LIMIT = 65536;
const SLOTS = 1 << 18;

/** Counts different 32- or 64-bit patterns, up to DISTINCT_LIMIT. Open addressing; memory is fixed. */
export class DistinctSet {
  readonly #low = new Uint32Array(SLOTS);
  readonly #high = new Uint32Array(SLOTS);
  readonly #used = new Uint8Array(SLOTS);
  #size = 0;

  /** Undefined once there are more than the limit. */
  get size(): number | undefined {
    return this.#size > DISTINCT_LIMIT ? undefined : this.#size;
  }

  /** Adds elements given as 32-bit words (1 or 2 each). False once there are too many. */
  add(words: Uint32Array, perElement: 1 | 2): boolean {
    for (let i = 0; i < words.length && this.#size <= DISTINCT_LIMIT; i += perElement)
      this.#addOne(words[i] ?? 0, perElement === 2 ? (words[i + 1] ?? 0) : 0);
    return this.#size <= DISTINCT_LIMIT;
  }

  #addOne(low: number, high: number): void {
    let at = (Math.imul(low ^ Math.imul(high, 0x85ebca6b), 0x9e3779b1) >>> 14) & (SLOTS - 1);
    while (this.#used[at] === 1) {
      if (this.#low[at] === low && this.#high[at] === high) return;
      at = (at + 1) & (SLOTS - 1);
    }
    this.#used[at] = 1;
    this.#low[at] = low;
    this.#high[at] = high;
    this.#size++;
  }
}
