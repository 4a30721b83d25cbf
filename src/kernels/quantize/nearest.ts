const CELLS = 1 << 12;

/** Index of the nearest of some rising numbers; the lower one in the middle between two. */
export class Nearest {
  readonly #borders: Float64Array;
  readonly #first: Uint16Array;
  readonly #low: number;
  readonly #scale: number;

  constructor(levels: ArrayLike<number>) {
    const rising = Float64Array.from(levels);
    this.#borders = Float64Array.from({ length: Math.max(0, rising.length - 1) }, (_, i) => {
      return ((rising[i] ?? 0) + (rising[i + 1] ?? 0)) / 2;
    });
    const [low = 0, high = 0] = [rising[0], rising.at(-1)];
    this.#low = low;
    this.#scale = high > low ? CELLS / (high - low) : 0;
    // For a start the level that is nearest to the lower end of the cell: a few steps lead on from there.
    this.#first = new Uint16Array(CELLS + 1);
    for (let cell = 0, level = 0; cell <= CELLS; cell++) {
      const value = this.#scale === 0 ? low : low + cell / this.#scale;
      while (level < this.#borders.length && value > (this.#borders[level] ?? 0)) level++;
      this.#first[cell] = level;
    }
  }

  of(value: number): number {
    const cell = Math.min(CELLS, Math.max(0, Math.floor((value - this.#low) * this.#scale)));
    let level = this.#first[cell] ?? 0;
    while (level < this.#borders.length && value > (this.#borders[level] ?? 0)) level++;
    while (level > 0 && value <= (this.#borders[level - 1] ?? 0)) level--;
    return level;
  }
}
