import * as path from 'node:path';
import { dtypeFacts } from '../../core/dtype.js';
import { pwriteExactly } from '../../io/disk.js';
import { keyText } from '../program.js';
import type { EndsTask, LinearTask, TaskResult } from '../tasks.js';
import { CODEC_AREA_BYTES, type Slot } from '../wasm.js';
import type { Workplace } from '../workplace.js';
import { heldScales } from './affine.js';
import { f32Reader } from './f32-source.js';
import { heldScale } from './held-scale.js';
import { integersOf } from './integers.js';
import { affineOf, type Rounding } from './parameters.js';

/** Bytes read at a time: what is left of them should still be in the cache when it is written. */
const STEP_BYTES = 1 << 20;

/** Columns whose rows, scales and zero points have room. */
export const MOST_COLUMNS = CODEC_AREA_BYTES / 4;

/** The rows of a task, a few at a time. */
function* rowsOf(
  { program, columns, start, end }: EndsTask | LinearTask,
  place: Workplace,
): Generator<{ readonly area: Slot; readonly row: number; readonly height: number }> {
  const { read } = f32Reader(program, place);
  const step = Math.max(1, Math.floor(STEP_BYTES / (columns * 4)));
  const last = end / columns;
  for (let row = start / columns; row < last; row += step) {
    const height = Math.min(step, last - row);
    yield { area: read(row * columns, (row + height) * columns), row, height };
  }
}

/** An area as f32 numbers. */
const floats = ({ bytes, at }: Slot, count: number): Float32Array =>
  new Float32Array(bytes.buffer, at, count);

export function* ends(task: EndsTask, place: Workplace): Generator<number, TaskResult> {
  const { ends, finite } = yield* endsOf(task, place);
  return { ends, finite };
}

interface Ends {
  /** Least, then greatest values. */
  readonly ends: Float32Array;
  readonly finite: boolean;
}

function* endsOf(task: EndsTask | LinearTask, place: Workplace): Generator<number, Ends> {
  const { columns } = task;
  const { kernels } = place.arena;
  const [low, high] = [place.arena.codecArea(1), place.arena.codecArea(2)];
  floats(low, columns + 4).fill(Number.POSITIVE_INFINITY);
  floats(high, columns + 4).fill(Number.NEGATIVE_INFINITY);
  let odd = 0;
  for (const { area, height } of rowsOf(task, place)) {
    odd += kernels.columnEnds(area.at, height, columns, low.at, high.at);
    yield height * columns * 4;
  }
  const both = new Float32Array(2 * columns);
  both.set(floats(low, columns));
  both.set(floats(high, columns), columns);
  return { ends: both, finite: odd === 0 };
}

/** The ends of columns or, where there is one group, of all of them; of several ranges of rows. */
export function endsOfGroups(
  parts: readonly Float32Array[],
  columns: number,
  groups: number,
): { readonly min: Float32Array; readonly max: Float32Array } {
  const min = new Float32Array(groups).fill(Number.POSITIVE_INFINITY);
  const max = new Float32Array(groups).fill(Number.NEGATIVE_INFINITY);
  for (const ends of parts)
    for (let column = 0; column < columns; column++) {
      const group = groups === 1 ? 0 : column;
      min[group] = Math.min(min[group] ?? 0, ends[column] ?? 0);
      max[group] = Math.max(max[group] ?? 0, ends[columns + column] ?? 0);
    }
  return { min, max };
}

/** Scales, then zero points, from the ends of what shares them. */
function parametersFrom(
  ends: Float32Array,
  columns: number,
  over: 'all' | 'columns',
  rounding: Rounding,
): Float32Array {
  const groups = over === 'all' ? 1 : columns;
  const { min, max } = endsOfGroups([ends], columns, groups);
  const found = new Float32Array(2 * groups);
  for (let i = 0; i < groups; i++) {
    const { scale, zeroPoint } = affineOf(min[i] ?? 0, max[i] ?? 0, rounding);
    found[i] = scale;
    found[groups + i] = zeroPoint;
  }
  return found;
}

/** Integers of all rows, with the scales that their ends ask for: the second look is mostly from a cache. */
export function* linear(task: LinearTask, place: Workplace): Generator<number, TaskResult> {
  const { over, columns, rounding } = task;
  if (!over) return yield* rounded(task, place);
  const { ends, finite } = yield* knownEnds(task, place);
  if (!finite) return { finite };
  const parameters = parametersFrom(ends, columns, over, rounding);
  const groups = parameters.length / 2;
  parameters.set(heldScales(task.scaleType, parameters.subarray(0, groups)));
  const all = (values: Float32Array): Float32Array =>
    groups === columns ? values : new Float32Array(columns).fill(values[0] ?? 0);
  const [scales, zeros] = [all(parameters.subarray(0, groups)), all(parameters.subarray(groups))];
  return { ...(yield* rounded({ ...task, scales, zeros }, place)), parameters };
}

/** The same tensor may be wanted as other integers right afterwards. */
function* knownEnds(task: LinearTask, place: Workplace): Generator<number, Ends> {
  const { program, columns, start, end } = task;
  const key = keyText([program, columns, start, end]);
  if (place.ends?.key !== key) {
    const running = endsOf(task, place);
    let step = running.next();
    // Bytes count as done when they are written.
    for (; !step.done; step = running.next()) yield 0;
    place.ends = { key, ...step.value };
  }
  return place.ends;
}

function* rounded(task: LinearTask, place: Workplace): Generator<number, TaskResult> {
  const { columns, rounding, scales, zeros, codesAt } = task;
  const { arena, files } = place;
  const { kernels, results } = arena;
  const { low, high } = integersOf(rounding.dtype);
  const { bits } = dtypeFacts(rounding.dtype);
  const [codes, scaleArea, zeroArea] = [arena.codecArea(1), arena.codecArea(2), arena.codecArea(3)];
  const [scaleAt, zeroAt] = [floats(scaleArea, columns), floats(zeroArea, columns)];
  if (scales && zeros) {
    scaleAt.set(scales);
    zeroAt.set(zeros);
  }
  const sums = results.values.subarray(0, 6).fill(0);
  const rows = (task.end - task.start) / columns;
  const parameters = scales ? undefined : new Float32Array(2 * rows);
  const held = task.scaleType === 'f32' ? (scale: number) => scale : heldScale(task.scaleType);
  // Behind the sums.
  const both = { at: results.at + 64, values: new Float32Array(results.values.buffer, results.at + 64, 2) };
  const output = files.writer(task.path);
  let odd = 0;
  for (const { area, row, height } of rowsOf(task, place)) {
    for (let i = 0; i < height; i++) {
      const from = area.at + i * columns * 4;
      if (parameters) {
        odd += kernels.rowEnds(from, columns, both.at);
        const { scale, zeroPoint } = affineOf(both.values[0] ?? 0, both.values[1] ?? 0, rounding);
        const index = row + i - task.start / columns;
        scaleAt[0] = parameters[index] = held(scale);
        zeroAt[0] = parameters[rows + index] = zeroPoint;
      }
      const step = parameters ? 0 : 4;
      const to = codes.at + i * columns;
      kernels.linearRow(from, columns, scaleArea.at, zeroArea.at, step, low, high, to, results.at);
    }
    if (bits < 8) kernels.packBytes(codes.at, height * columns, bits, codes.at);
    const bytes = codes.bytes.subarray(0, (height * columns * bits) / 8);
    pwriteExactly(output, bytes, codesAt + (row * columns * bits) / 8, path.basename(task.path));
    yield height * columns * 4;
  }
  return { errors: sums.slice(), finite: odd === 0, ...(parameters ? { parameters } : {}) };
}
