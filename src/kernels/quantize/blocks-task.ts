import * as path from 'node:path';
import { pwriteExactly } from '../../io/disk.js';
import type { BlocksTask, TaskResult } from '../tasks.js';
import { CODEC_AREA_BYTES } from '../wasm.js';
import type { Workplace } from '../workplace.js';
import { f32Reader } from './f32-source.js';
import { packedZeros } from './nbits-pack.js';

/** Columns that one task can do: what is read of a block of rows, and the codes and scales of all rows, have an area each. */
export function columnsAtOnce(rows: number, block: number, bits: number): number {
  const blocks = Math.ceil(rows / block);
  const most = Math.max(block * 4, (blocks * block * bits) / 8, blocks * 4);
  return Math.floor(CODEC_AREA_BYTES / most / 4) * 4;
}

/** Whether the columns past the end that kernels touch still lie in the areas. */
export const fitsAreas = (rows: number, block: number): boolean => Math.ceil(rows / block) * block <= 16384;

/** Reads the columns a block of rows at a time, quantizes, and writes codes, scales and zero points at their places. */
export function* blocks(task: BlocksTask, place: Workplace): Generator<number, TaskResult> {
  const { arena, files } = place;
  const { program, rows, columns, first, last, bits, block, symmetric, halfScales } = task;
  const [source, codes, scales, zeros] = [0, 1, 2, 3].map((i) => arena.codecArea(i));
  if (!source || !codes || !scales || !zeros) throw new Error('the arena has too few areas');
  const width = last - first;
  const count = Math.ceil(rows / block);
  const rowBytes = (count * block * bits) / 8;
  codes.bytes.fill(0, 0, width * rowBytes);
  const { fill } = f32Reader(program, place);
  const sums = arena.results.values.subarray(0, 6).fill(0);
  for (let index = 0; index < count; index++) {
    const row = index * block;
    const height = Math.min(block, rows - row);
    if (width === columns) fill(source.bytes.subarray(0, height * width * 4), row * columns);
    else
      for (let i = 0; i < height; i++)
        fill(source.bytes.subarray(i * width * 4, (i + 1) * width * 4), (row + i) * columns + first);
    arena.kernels.nbitsBlock(
      source.at,
      width * 4,
      height,
      width,
      bits,
      symmetric ? 1 : 0,
      codes.at + (row * bits) / 8,
      rowBytes,
      scales.at + index * 4,
      zeros.at + index,
      count,
      halfScales ? 1 : 0,
      arena.results.at,
    );
    yield height * width * 4;
  }
  const output = files.writer(task.path);
  const write = (bytes: Uint8Array, at: number): void =>
    pwriteExactly(output, bytes, at, path.basename(task.path));
  write(codes.bytes.subarray(0, width * rowBytes), task.codesAt + first * rowBytes);
  write(scales.bytes.subarray(0, width * count * 4), task.scalesAt + first * count * 4);
  if (!symmetric) {
    const packed = packedZeros(new Float64Array(zeros.bytes.subarray(0, width * count)), count, bits);
    write(packed, task.zerosAt + (first * packed.length) / width);
  }
  return { errors: sums.slice() };
}
