import * as path from 'node:path';
import { pwriteExactly } from '../../io/disk.js';
import type { BlockFloatTask, CodesTask, PaletteTask, TaskResult } from '../tasks.js';
import { CODEC_AREA_BYTES, type Slot } from '../wasm.js';
import type { Workplace } from '../workplace.js';
import { type BlockFloat, e2m1Borders, formatOf, nf4Borders } from './block-floats.js';
import { f32Reader } from './f32-source.js';
import { bordersOf } from './nearest.js';

const KERNELS = { nf4: 'levelsRun', mxfp4: 'powerLevelsRun' } as const;

/** Elements that are coded at a time. */
const STEP = 1 << 18;
/** Elements whose axes are turned at a time. */
const TURNED = CODEC_AREA_BYTES / 4;

/** Whether the kernel can do it: pieces and blocks begin at the same places, and codes fill bytes. */
export const levelsFit = ({ block, turned }: BlockFloatTask): boolean =>
  block % 16 === 0 && (turned ? turned[0] % block === 0 && turned[0] * 2 <= TURNED : STEP % block === 0);

/** Scales and codes of 4-bit floats, in one read. The plain path in `codes-task.ts` is the reference. */
export function* levelBlocks(task: BlockFloatTask, place: Workplace): Generator<number, TaskResult> {
  const { block, codesAt, end } = task;
  const { kernels, codecArea, results } = areasOf(place);
  const [codes, scales, tables] = [codecArea(2), codecArea(3), codecArea(4)];
  const { borders, levels } = putTables(tables, ...tablesOf(task.format));
  const run = kernels[KERNELS[task.format]];
  const sums = results.values.subarray(0, 6).fill(0);
  const found = new Float32Array(Math.ceil(end / block));
  const output = place.files.writer(task.path);
  for (const { at, source, count } of task.turned ? turned(task, task.turned, place) : inOrder(task, place)) {
    run(source, count, block, borders, levels, codes.at, scales.at, results.at);
    found.set(floats(scales, Math.ceil(count / block)), at / block);
    const bytes = codes.bytes.subarray(0, Math.ceil(count / 2));
    pwriteExactly(output, bytes, codesAt + at / 2, path.basename(task.path));
    yield count * 4;
  }
  return { finite: sums[5] === 0, errors: sums.slice(), scales: found };
}

interface Piece {
  /** Its first element. */
  readonly at: number;
  /** Address of its values. */
  readonly source: number;
  readonly count: number;
}

const areasOf = ({ arena }: Workplace) => ({
  kernels: arena.kernels,
  results: arena.results,
  codecArea: (index: number): Slot => arena.codecArea(index),
});

const floats = ({ bytes, at }: Slot, count: number): Float32Array =>
  new Float32Array(bytes.buffer, at, count);

/** The tables of the kernel, at the begin of an area. */
function putTables(
  area: Slot,
  borders: Float32Array,
  levels: readonly number[],
): { readonly borders: number; readonly levels: number } {
  borders.forEach((border, i) => {
    floats(area, 4 * borders.length).fill(border, 4 * i, 4 * i + 4);
  });
  const bytes = new Uint8Array(Float32Array.from(levels).buffer);
  const behind = 16 * borders.length;
  bytes.forEach((byte, i) => {
    area.bytes[behind + (i % 4) * 16 + Math.floor(i / 4)] = byte;
  });
  return { borders: area.at, levels: area.at + behind };
}

const tablesOf = (format: BlockFloat['id']): readonly [Float32Array, readonly number[]] => [
  format === 'nf4' ? nf4Borders() : e2m1Borders(),
  formatOf(format, 16).levels,
];

/** Whether the kernel can do it: one codebook, and codes of 4 bits. */
export const codebookFits = ({ bits, k }: PaletteTask, groups: number): boolean =>
  groups === 1 && bits === 4 && k <= 16;

/** Codes of one codebook, and what is lost. The plain path in `codes-task.ts` is the reference. */
export function* codebookCodes(
  task: PaletteTask,
  table: Float64Array,
  place: Workplace,
): Generator<number, TaskResult> {
  const { kernels, codecArea, results } = areasOf(place);
  const [codes, tables] = [codecArea(2), codecArea(4)];
  const rising = Array.from({ length: 16 }, (_, i) => table[Math.min(i, table.length - 1)] ?? 0);
  const own = bordersOf(table);
  const { borders, levels } = putTables(
    tables,
    Float32Array.from({ length: 15 }, (_, i) => own[i] ?? Number.POSITIVE_INFINITY),
    rising,
  );
  const sums = results.values.subarray(0, 6).fill(0);
  const output = place.files.writer(task.path);
  for (const { at, source, count } of inOrder(task, place)) {
    kernels.codebookRun(source, count, borders, levels, codes.at, results.at);
    const bytes = codes.bytes.subarray(0, Math.ceil(count / 2));
    pwriteExactly(output, bytes, task.codesAt + at / 2, path.basename(task.path));
    yield count * 4;
  }
  return { finite: true, errors: sums.slice() };
}

function* inOrder({ program, end }: CodesTask, place: Workplace): Generator<Piece> {
  const area = place.arena.codecArea(0);
  const { fill } = f32Reader(program, place);
  for (let at = 0; at < end; at += STEP) {
    const count = Math.min(STEP, end - at);
    const bytes = area.bytes.subarray(0, count * 4);
    fill(bytes, at);
    yield { at, source: area.at, count };
  }
}

/** Some columns at a time, one after the other. */
function* turned(
  { program }: BlockFloatTask,
  [rows, columns]: readonly [number, number],
  place: Workplace,
): Generator<Piece> {
  const { arena } = place;
  const [lines, area] = [arena.codecArea(0), arena.codecArea(1)];
  const { fill } = f32Reader(program, place);
  const step = Math.min(columns, Math.floor(TURNED / rows / 2) * 2);
  for (let first = 0; first < columns; first += step) {
    const width = Math.min(step, columns - first);
    for (let row = 0; row < rows; row++) {
      const bytes = lines.bytes.subarray(row * width * 4, (row + 1) * width * 4);
      fill(bytes, row * columns + first);
    }
    arena.kernels.turnF32(lines.at, width * 4, rows, width, area.at);
    yield { at: first * rows, source: area.at, count: width * rows };
  }
}
