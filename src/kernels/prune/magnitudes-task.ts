import { BlockReader } from '../block-reader.js';
import { BLOCK_ELEMENTS, type MagnitudesTask, type TaskResult } from '../tasks.js';
import { viewAs } from '../views.js';
import type { Arena, Slot } from '../wasm.js';
import type { Workplace } from '../workplace.js';

export interface MagnitudeCounts {
  readonly below: number;
  readonly equal: number;
  /** Position in the tensor of the equal one that was asked for. */
  readonly found?: number;
}

const KERNELS = { 4: 'countMagnitudes32', 8: 'countMagnitudes64' } as const;

/** What is counted so far. */
export class MagnitudeFold {
  readonly #wanted: Pick<MagnitudesTask, 'width' | 'magnitude' | 'nth'>;
  #below = 0;
  #equal = 0;
  #found: number | undefined;

  constructor(wanted: Pick<MagnitudesTask, 'width' | 'magnitude' | 'nth'>) {
    this.#wanted = wanted;
  }

  /** A block that begins at position `start` of the tensor. */
  add({ kernels, results }: Arena, block: Slot, count: number, start: number): void {
    const { width, magnitude, nth } = this.#wanted;
    kernels[KERNELS[width]](block.at, count, magnitude, results.at);
    const [below = 0, equal = 0] = new Uint32Array(results.values.buffer, results.at, 2);
    if (nth !== undefined && this.#equal < nth && this.#equal + equal >= nth)
      this.#found = start + nthEqual(block.bytes, count, this.#wanted, nth - this.#equal);
    this.#below += below;
    this.#equal += equal;
  }

  finish(): MagnitudeCounts {
    const found = this.#found;
    return { below: this.#below, equal: this.#equal, ...(found === undefined ? {} : { found }) };
  }
}

function nthEqual(
  bytes: Uint8Array,
  count: number,
  { width, magnitude }: Pick<MagnitudesTask, 'width' | 'magnitude'>,
  nth: number,
): number {
  const words = viewAs(Uint32Array, bytes, (count * width) / 4);
  const step = width / 4;
  const [low, high] = [Number(magnitude & 0xffffffffn), Number(magnitude >> 32n)];
  let left = nth;
  for (let i = 0; i < count; i++) {
    const top = (words[i * step + step - 1] ?? 0) & 0x7fffffff;
    const same = step === 1 ? top === low : top === high && words[i * step] === low;
    if (same && --left === 0) return i;
  }
  throw new Error('a block has fewer elements of a magnitude than were counted');
}

export function* magnitudes(task: MagnitudesTask, place: Workplace): Generator<number, TaskResult> {
  const reader = new BlockReader(task.program, place, [0, 1]);
  const fold = new MagnitudeFold(task);
  for (let start = task.start; start < task.end; start += BLOCK_ELEMENTS) {
    const end = Math.min(task.end, start + BLOCK_ELEMENTS);
    fold.add(place.arena, reader.read(start, end), end - start, start);
    yield (end - start) * task.width;
  }
  return { magnitudes: fold.finish() };
}
