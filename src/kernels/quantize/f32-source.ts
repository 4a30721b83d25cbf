import type { TensorSource } from '../../core/tensor.js';
import { BlockReader } from '../block-reader.js';
import { castTensor } from '../cast.js';
import { type Program, programOf } from '../program.js';
import { SLOT_BYTES, type Slot } from '../wasm.js';
import type { Workplace } from '../workplace.js';

/** Elements that are read at a time: what is left of them should still be in the cache when codes are written. */
export const STEP_ELEMENTS = SLOT_BYTES / 4;

/** Each element by itself. */
const BY_ELEMENT = new Set(['cast', 'byteswap', 'zero']);

/**
 * How a worker pulls the f32 values of a tensor by ranges: of f32 and narrower floats that lie in a file, also where zeros
 * take the place of some. Undefined where it has to be streamed (what is computed from neighbours, unfolded, or made). A
 * sum that its file records is in the program: whoever reads by ranges does not check it.
 */
export function f32Program(tensor: TensorSource): Program | undefined {
  const { dtype } = tensor.info;
  if (dtype !== 'f32' && dtype !== 'f16' && dtype !== 'bf16') return undefined;
  const program = programOf(castTensor(tensor, 'f32'));
  if (!program || program.count === 0 || program.coded) return undefined;
  return program.ops.every(({ op }) => BY_ELEMENT.has(op)) ? program : undefined;
}

/** Elements of such a program as f32. */
export interface F32Reader {
  /** Elements [start, end), at most `STEP_ELEMENTS` where there is something to compute: valid until the next are read. */
  read(start: number, end: number): Slot;
  /** The same, any number of them, into memory of whoever asks. */
  fill(into: Uint8Array, start: number): void;
}

export function f32Reader(program: Program, place: Workplace): F32Reader {
  if (program.ops.length === 0) {
    const area = place.arena.codecArea(0);
    const fill = (into: Uint8Array, start: number): void =>
      place.read(program.path, into, program.offset + start * 4);
    return {
      fill,
      read(start, end) {
        fill(area.bytes.subarray(0, (end - start) * 4), start);
        return area;
      },
    };
  }
  const reader = new BlockReader(program, place, [0, 1]);
  return {
    read: (start, end) => reader.read(start, end),
    fill(into, start) {
      for (let done = 0; done < into.length; done += STEP_ELEMENTS * 4) {
        const bytes = Math.min(STEP_ELEMENTS * 4, into.length - done);
        const from = start + done / 4;
        into.set(reader.read(from, from + bytes / 4).bytes.subarray(0, bytes), done);
      }
    },
  };
}
