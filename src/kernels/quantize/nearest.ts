/** Cells of equal width between the lowest and the highest level, each with the level to start from. */
const CELLS = 1 << 12;

/** Index of the nearest of some rising numbers; the lower one in the middle between two. */
export class Nearest {
  readonly #borders: Float64Array;
  readonly #first: Uint16Array;
  readonly #low: number;
  readonly #scale: number;
  readonly #cells: number;

  constructor(levels: ArrayLike<number>, cells: number = CELLS) {
    this.#cells = cells;
    const rising = Float64Array.from(levels);
    this.#borders = Float64Array.from({ length: Math.max(0, rising.length - 1) }, (_, i) => {
      return ((rising[i] ?? 0) + (rising[i + 1] ?? 0)) / 2;
    });
    const [low = 0, high = 0] = [rising[0], rising.at(-1)];
    this.#low = low;
    this.#scale = high > low ? cells / (high - low) : 0;
    // For a start the level that is nearest to the lower end of the cell: a few steps lead on from there.
    this.#first = new Uint16Array(cells + 1);
    for (let cell = 0, level = 0; cell <= cells; cell++) {
      const value = this.#scale === 0 ? low : low + cell / this.#scale;
      while (level < this.#borders.length && value > (this.#borders[level] ?? 0)) level++;
      this.#first[cell] = level;
    }
  }

  of(value: number): number {
    return this.codes(Float64Array.of(value), 0, 1, new Uint8Array(1))[0] ?? 0;
  }

  /** Codes of the values [from, to), written at the same places. */
  codes(values: Float32Array | Float64Array, from: number, to: number, out: Uint8Array): Uint8Array {
    const [borders, first, low, scale] = [this.#borders, this.#first, this.#low, this.#scale];
    const [top, cells] = [borders.length, this.#cells];
    for (let i = from; i < to; i++) {
      const value = values[i] ?? 0;
      const at = (value - low) * scale;
      let level = first[at <= 0 ? 0 : at >= cells ? cells : at | 0] ?? 0;
      while (level < top && value > (borders[level] ?? 0)) level++;
      while (level > 0 && value <= (borders[level - 1] ?? 0)) level--;
      out[i] = level;
    }
    return out;
  }
}

/** Largest f32 numbers that are not above the middle between two levels: those above belong to the upper one. */
export function bordersOf(rising: ArrayLike<number>): Float32Array {
  return Float32Array.from({ length: rising.length - 1 }, (_, i) => {
    const middle = ((rising[i] ?? 0) + (rising[i + 1] ?? 0)) / 2;
    const near = Math.fround(middle);
    return near <= middle ? near : stepDown(near);
  });
}

/** One step of f32 towards minus infinity. */
export function stepDown(x: number): number {
  const bits = new Int32Array(Float32Array.of(x).buffer);
  bits[0] = (bits[0] ?? 0) + (x > 0 ? -1 : 1);
  return new Float32Array(bits.buffer)[0] ?? x;
}
