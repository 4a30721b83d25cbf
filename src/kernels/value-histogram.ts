import type { DType } from '../core/dtype.js';
import { decodeElements } from './elements.js';
import { scratchDoubles } from './scratch.js';
import type { Slot } from './wasm.js';

/** Counts finite values in equal bins over [min, max]; the last bin includes `max`. */
export class ValueHistogramFold {
  readonly #dtype: DType;
  readonly #min: number;
  readonly #scale: number;
  readonly #counts: Float64Array;

  constructor(dtype: DType, min: number, max: number, bins: number) {
    this.#dtype = dtype;
    this.#min = min;
    // Halves, because max - min may overflow.
    const half = max / 2 - min / 2;
    this.#scale = half > 0 ? bins / half / 2 : 0;
    this.#counts = new Float64Array(bins);
  }

  add(block: Slot, count: number): void {
    const values = scratchDoubles(0, count);
    decodeElements(this.#dtype, block.bytes, count, values);
    const counts = this.#counts;
    const scale = this.#scale;
    const start = this.#min * scale;
    const last = counts.length - 1;
    for (let i = 0; i < count; i++) {
      const value = values[i] ?? 0;
      const distance = value * scale - start;
      // False for NaN; infinities are past both ends, where only they and the largest value can be.
      if (distance < last) {
        if (distance >= 0) counts[distance | 0] = (counts[distance | 0] ?? 0) + 1;
      } else if (value < Infinity) counts[last] = (counts[last] ?? 0) + 1;
    }
  }

  finish(): Float64Array {
    return this.#counts;
  }
}
