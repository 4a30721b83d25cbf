import type { TensorSource } from '../../core/tensor.js';
import { BlockReader } from '../block-reader.js';
import { castTensor } from '../cast.js';
import { type Program, programOf } from '../program.js';
import { SLOT_BYTES, type Slot } from '../wasm.js';
import type { Workplace } from '../workplace.js';

/** Elements that are read at a time: what is left of them should still be in the cache when codes are written. */
export const STEP_ELEMENTS = SLOT_BYTES / 4;

/**
 * How a worker pulls the f32 values of a tensor by ranges: of f32 and narrower floats that lie in a file. Undefined where it
 * has to be streamed (what is computed, unfolded, or has a sum to be checked over the whole).
 */
export function f32Program(tensor: TensorSource): Program | undefined {
  const { dtype } = tensor.info;
  if (dtype !== 'f32' && dtype !== 'f16' && dtype !== 'bf16') return undefined;
  const program = programOf(castTensor(tensor, 'f32'));
  if (!program || program.count === 0 || program.coded || program.crc32) return undefined;
  return program.ops.every(({ op }) => op === 'cast') ? program : undefined;
}

/** Elements [start, end) of such a program as f32: at most `STEP_ELEMENTS`, from a multiple of 8 on. */
export function f32Reader(program: Program, place: Workplace): (start: number, end: number) => Slot {
  if (program.ops.length > 0) {
    const reader = new BlockReader(program, place, [0, 1]);
    return (start, end) => reader.read(start, end);
  }
  const area = place.arena.codecArea(0);
  return (start, end) => {
    const bytes = area.bytes.subarray(0, (end - start) * 4);
    place.read(program.path, bytes, program.offset + start * 4);
    return area;
  };
}
