import type { DType } from '../../core/dtype.js';
import { decodeElements } from '../elements.js';
import { type ChannelGranularity, ChannelGroups } from './channel-groups.js';
import { encoded } from './codes.js';
import { CANDIDATES, fitCodebook } from './kmeans.js';

export interface PaletteSpec extends ChannelGranularity {
  /** Values that a codebook has at most. */
  readonly k: number;
}

/** Codebooks of a tensor. */
export interface Palette {
  /** Rising values of every group, as many as it needs. */
  readonly tables: readonly Float64Array[];
}

/** The effort for a tensor is shared by its groups, which have fewer values each; so much is for each at least. */
const BINS = { all: 1 << 16, least: 1 << 12 } as const;
const PLACES = { all: CANDIDATES, least: 512 } as const;
const BINS_AT_ONCE = 1 << 20;

const share = ({ all, least }: { readonly all: number; readonly least: number }, groups: number): number =>
  Math.max(least, Math.floor(all / groups));

/**
 * Fits codebooks to a tensor that is read in pieces: all of it for the ends, then, part by part, for histograms over
 * equal bins between them. What comes out depends on the values alone, not on the pieces.
 */
export class PaletteFit {
  readonly tables: Float64Array[] = [];
  readonly groups: ChannelGroups;
  readonly #k: number;
  readonly #dtype: DType;
  readonly #bins: number;
  readonly #min: Float64Array;
  readonly #max: Float64Array;
  #check = 0;

  /** The table is stored in the tensor's own type, and that is what codes stand for. */
  constructor(shape: readonly number[], dtype: DType, spec: PaletteSpec) {
    this.#k = spec.k;
    this.#dtype = dtype;
    this.groups = new ChannelGroups(shape, spec);
    const { count } = this.groups;
    this.#bins = share(BINS, count);
    this.#min = new Float64Array(count).fill(Number.POSITIVE_INFINITY);
    this.#max = new Float64Array(count).fill(Number.NEGATIVE_INFINITY);
  }

  /** No value was NaN or infinite. */
  get finite(): boolean {
    return this.#check === 0;
  }

  widen(values: Float32Array, at: number): void {
    this.groups.visit(at, at + values.length, (start, length, group) => {
      let [low, high, check] = [this.#min[group] ?? 0, this.#max[group] ?? 0, 0];
      for (let i = start - at; i < start - at + length; i++) {
        const value = values[i] ?? 0;
        check += value - value; // 0, or NaN for ever
        if (value < low) low = value;
        if (value > high) high = value;
      }
      this.#min[group] = low;
      this.#max[group] = high;
      this.#check += check;
    });
  }

  /** By the ends of a piece, where there is one group; `check` is NaN if a value was not finite, else 0. */
  widenAll(low: number, high: number, check: number): void {
    this.#min[0] = Math.min(this.#min[0] ?? low, low);
    this.#max[0] = Math.max(this.#max[0] ?? high, high);
    this.#check += check;
  }

  /** Parts of the groups, with the elements to read for each. To be gone through in order. */
  *parts(): Generator<PalettePart> {
    const { count } = this.groups;
    const step = Math.max(1, Math.floor(BINS_AT_ONCE / this.#bins));
    for (let first = 0; first < count; first += step) {
      const last = Math.min(count, first + step);
      const part = new PalettePart(this.groups, first, last, this.#bins, this.#min, this.#max);
      yield part;
      for (let group = first; group < last; group++)
        this.tables.push(this.#stored(fitCodebook(part.binsOf(group), this.#k, share(PLACES, count))));
    }
  }

  #stored(values: Float64Array): Float64Array {
    const table = new Float64Array(values.length);
    decodeElements(this.#dtype, encoded(this.#dtype, values), values.length, table);
    return table;
  }
}

/** Histograms of some groups. */
export class PalettePart {
  readonly start: number;
  readonly end: number;
  readonly #counts: Float64Array;
  readonly #sums: Float64Array;

  constructor(
    private readonly groups: ChannelGroups,
    private readonly first: number,
    private readonly last: number,
    private readonly bins: number,
    private readonly min: Float64Array,
    private readonly max: Float64Array,
  ) {
    ({ start: this.start, end: this.end } = groups.span(first, last));
    this.#counts = new Float64Array((last - first) * bins);
    this.#sums = new Float64Array((last - first) * bins);
  }

  add(values: Float32Array, at: number): void {
    const [counts, sums] = [this.#counts, this.#sums];
    const { bins, first, last } = this;
    this.groups.visit(at, at + values.length, (start, length, group) => {
      if (group < first || group >= last) return;
      const base = (group - first) * bins;
      const [low = 0, high = 0] = [this.min[group], this.max[group]];
      const scale = high > low ? bins / (high - low) : 0;
      for (let i = start - at; i < start - at + length; i++) {
        const value = values[i] ?? 0;
        const within = ((value - low) * scale) | 0;
        const bin = base + (within < bins ? within : bins - 1);
        counts[bin] = (counts[bin] ?? 0) + 1;
        sums[bin] = (sums[bin] ?? 0) + value;
      }
    });
  }

  binsOf(group: number): { readonly counts: Float64Array; readonly sums: Float64Array } {
    const [from, to] = [(group - this.first) * this.bins, (group - this.first + 1) * this.bins];
    return { counts: this.#counts.subarray(from, to), sums: this.#sums.subarray(from, to) };
  }
}
