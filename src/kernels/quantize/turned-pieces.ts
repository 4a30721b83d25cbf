import type { BlockFloatTask } from '../tasks.js';
import type { Workplace } from '../workplace.js';
import { f32Reader } from './f32-source.js';

/** Elements gathered at a time; more where two columns are more. */
const STEP = 1 << 20;

/** Values of a [rows, columns] matrix column by column, some columns at a time. `at` counts elements in that order. */
export function* turnedPieces(
  { program }: BlockFloatTask,
  [rows, columns]: readonly [number, number],
  place: Workplace,
): Generator<{ readonly at: number; readonly values: Float32Array }> {
  // An even number of columns: codes of 4 bits begin on a byte.
  const step = Math.min(columns, Math.max(2, Math.floor(STEP / rows / 2) * 2));
  const { fill } = f32Reader(program, place);
  const line = new Float32Array(step);
  const values = new Float32Array(step * rows);
  for (let first = 0; first < columns; first += step) {
    const count = Math.min(step, columns - first);
    const bytes = new Uint8Array(line.buffer, 0, count * 4);
    for (let row = 0; row < rows; row++) {
      fill(bytes, row * columns + first);
      for (let i = 0, to = row; i < count; i++, to += rows) values[to] = line[i] ?? 0;
    }
    yield { at: first * rows, values: values.subarray(0, count * rows) };
  }
}
