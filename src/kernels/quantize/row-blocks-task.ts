import * as path from 'node:path';
import { pwriteExactly } from '../../io/disk.js';
import type { RowBlocksTask, TaskResult } from '../tasks.js';
import type { Workplace } from '../workplace.js';
import { f32Reader, STEP_ELEMENTS } from './f32-source.js';

/** Rows that a task and each of its steps are a multiple of: so many codes and zero points fill whole bytes. */
export const ROWS = 8;

/** Reads rows a few at a time, and writes codes, scales and zero points at their places. */
export function* rowBlocks(task: RowBlocksTask, place: Workplace): Generator<number, TaskResult> {
  const { program, columns, bits, block, symmetric, signed } = task;
  const { arena, files } = place;
  const { kernels } = arena;
  const [codes, scales, zeros] = [arena.codecArea(1), arena.codecArea(2), arena.codecArea(3)];
  const sums = arena.results.values.subarray(0, 6).fill(0);
  const { read } = f32Reader(program, place);
  const perRow = Math.ceil(columns / block);
  const step = Math.max(ROWS, Math.floor(STEP_ELEMENTS / columns / ROWS) * ROWS);
  const output = files.writer(task.path);
  const write = (bytes: Uint8Array, at: number): void =>
    pwriteExactly(output, bytes, at, path.basename(task.path));
  let zeroed = true;
  const last = task.end / columns;
  for (let row = task.start / columns; row < last; row += step) {
    const rows = Math.min(step, last - row);
    const blocks = rows * perRow;
    const rowBytes = (columns * bits) / 8;
    const source = read(row * columns, (row + rows) * columns);
    // Blocks of all rows lie side by side where none is short.
    const [runs, length] = columns % block === 0 ? [1, rows * columns] : [rows, columns];
    for (let run = 0; run < runs; run++)
      kernels.nbitsRun(
        source.at + run * columns * 4,
        length,
        block,
        bits,
        symmetric ? 1 : 0,
        signed ? 2 ** (bits - 1) : 0,
        codes.at + run * rowBytes,
        scales.at + run * perRow * 4,
        zeros.at + run * perRow,
        arena.results.at,
      );
    write(codes.bytes.subarray(0, rows * rowBytes), task.codesAt + row * rowBytes);
    write(scales.bytes.subarray(0, blocks * 4), task.scalesAt + row * perRow * 4);
    if (zeroed) zeroed = zeros.bytes.subarray(0, blocks).every((zero) => zero === 0);
    zeros.bytes.fill(0, blocks, blocks + 8);
    if (bits < 8) kernels.packBytes(zeros.at, blocks, bits, zeros.at);
    const packed = zeros.bytes.subarray(0, Math.ceil((blocks * bits) / 8));
    write(packed, task.zerosAt + (row * perRow * bits) / 8);
    yield rows * columns * 4;
  }
  return { errors: sums.slice(), zeroed };
}
