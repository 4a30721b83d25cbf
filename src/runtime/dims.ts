import type { ValueInfo } from './values.js';

/** Sizes that one attempt gives to dimensions that the model leaves open. */
export interface DimSizes {
  readonly batch: number;
  readonly sequence: number;
  /** Cached steps of a decoder. */
  readonly past: number;
  readonly channels: number;
  /** Height and width. */
  readonly spatial: number;
}

/**
 * Guesses in the order in which they are tried: graphs with traced shapes, strides or a fixed window reject some.
 */
export const ATTEMPTS: readonly DimSizes[] = [
  { batch: 2, sequence: 8, past: 0, channels: 3, spatial: 64 },
  { batch: 1, sequence: 8, past: 0, channels: 3, spatial: 64 },
  { batch: 1, sequence: 8, past: 4, channels: 1, spatial: 32 },
  { batch: 1, sequence: 1, past: 4, channels: 3, spatial: 224 },
  { batch: 1, sequence: 16, past: 1, channels: 1, spatial: 224 },
  { batch: 1, sequence: 128, past: 16, channels: 3, spatial: 256 },
  { batch: 1, sequence: 1600, past: 1, channels: 4, spatial: 32 },
  { batch: 1, sequence: 512, past: 1, channels: 1, spatial: 512 },
  { batch: 4, sequence: 4, past: 4, channels: 4, spatial: 4 },
  { batch: 1, sequence: 1, past: 1, channels: 1, spatial: 1 },
];

/** Gives every open dimension a size; equal names get equal sizes across all inputs. */
export class DimResolver {
  readonly #sizes: DimSizes;
  readonly #named = new Map<string, number>();

  constructor(sizes: DimSizes) {
    this.#sizes = sizes;
  }

  shapeOf(input: ValueInfo): number[] {
    // A shape that is not given at all: one row of a sequence is as good a guess as any.
    const shape = input.shape ?? [null, null];
    return shape.map((dim, axis) => {
      if (typeof dim === 'number') return dim;
      return dim === null
        ? this.#guess('', input, axis, shape.length)
        : this.#symbolic(dim, input, axis, shape.length);
    });
  }

  #symbolic(name: string, input: ValueInfo, axis: number, rank: number): number {
    const known = this.#named.get(name);
    if (known !== undefined) return known;
    const size = this.#expression(name, input, axis, rank) ?? this.#guess(name, input, axis, rank);
    this.#named.set(name, size);
    return size;
  }

  /** Exporters write sums and products of symbols: `past_sequence_length + 1`, `2*s0`. Evaluated left to right. */
  #expression(text: string, input: ValueInfo, axis: number, rank: number): number | undefined {
    if (!/^[\w.]+(\s*[-+*]\s*[\w.]+){1,8}$/.test(text)) return undefined;
    const [first = '', ...rest] = text.split(/\s*([-+*])\s*/);
    const atom = (part: string): number =>
      /^\d+$/.test(part) ? Number(part) : this.#symbolic(part, input, axis, rank);
    let total = atom(first);
    for (let i = 0; i + 1 < rest.length; i += 2) {
      const value = atom(rest[i + 1] ?? '');
      if (rest[i] === '+') total += value;
      else if (rest[i] === '-') total -= value;
      else total *= value;
    }
    return Math.max(0, total);
  }

  #guess(name: string, input: ValueInfo, axis: number, rank: number): number {
    const { batch, sequence, past, channels, spatial } = this.#sizes;
    const floats = input.type?.startsWith('float') ?? false;
    if (/past|cache/i.test(name)) return past;
    if (/batch|^b$/i.test(name) || (axis === 0 && /^n$/i.test(name))) return batch;
    if (/height|width|^[hw]$/i.test(name)) return spatial;
    if (/channel|^c$/i.test(name)) return channels;
    if (/seq|time|len|frame|token|step|sample/i.test(name)) return sequence;
    if (axis === 0) return batch;
    // What recurrent networks carry over: [layers, batch, width].
    if (axis === 1 && rank === 3 && /state|hidden|cell|^[hc](n|_?0)?$/i.test(input.name)) return batch;
    if (floats && rank >= 4 && !/past|cache/i.test(input.name)) return axis === 1 ? channels : spatial;
    if (rank === 4 && /past|cache/i.test(input.name)) return axis === 2 ? past : channels;
    return sequence;
  }
}
