import { elementCount } from '../../core/dtype.js';
import { Groups } from './groups.js';

/** Which elements share a codebook. Without an axis: all of a tensor. */
export interface ChannelGranularity {
  /** Axis of the channels. */
  readonly axis?: number;
  /** Consecutive channels that share one (default 1); the last group may have fewer. */
  readonly block?: number;
}

/** Elements of a row-major tensor by groups of channels. */
export class ChannelGroups {
  readonly count: number;
  readonly #size: number;
  readonly #dim: number;
  readonly #block: number;
  readonly #channels: Groups | undefined;
  /** Elements of a channel that lie in one piece, on the first axis. */
  readonly #run: number | undefined;

  constructor(shape: readonly number[], { axis, block = 1 }: ChannelGranularity) {
    this.#size = elementCount(shape);
    this.#dim = axis === undefined ? 1 : (shape[axis] ?? 1);
    this.#block = block;
    this.count = axis === undefined ? 1 : Math.ceil(this.#dim / block);
    this.#channels = this.count > 1 ? new Groups(shape, axis === undefined ? {} : { axis }) : undefined;
    this.#run = axis === 0 && this.#dim > 0 ? this.#size / this.#dim : undefined;
  }

  /** Group of every channel. */
  ofChannels(): readonly number[] {
    return Array.from({ length: this.#dim }, (_, channel) => Math.floor(channel / this.#block));
  }

  /** Elements among which all of some groups are. */
  span(first: number, last: number): { readonly start: number; readonly end: number } {
    if (this.#run === undefined || this.count === 1) return { start: 0, end: this.#size };
    const at = (group: number): number => Math.min(this.#dim, group * this.#block) * (this.#run ?? 0);
    return { start: at(first), end: at(last) };
  }

  /** Elements [start, end) as runs of one group, in order. */
  visit(start: number, end: number, visit: (start: number, length: number, group: number) => void): void {
    if (!this.#channels) {
      if (end > start) visit(start, end - start, 0);
      return;
    }
    const block = this.#block;
    this.#channels.visit(start, end, (at, length, channel, steps) => {
      if (!steps) {
        visit(at, length, Math.floor(channel / block));
        return;
      }
      for (let i = 0; i < length; ) {
        const group = Math.floor((channel + i) / block);
        const run = Math.min(length - i, (group + 1) * block - channel - i);
        visit(at + i, run, group);
        i += run;
      }
    });
  }
}
