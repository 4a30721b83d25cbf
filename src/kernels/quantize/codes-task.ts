import * as path from 'node:path';
import { pwriteExactly } from '../../io/disk.js';
import type { BlockFloatTask, CodesTask, PaletteTask, TaskResult } from '../tasks.js';
import type { Workplace } from '../workplace.js';
import { BlockScales, blockCoder, formatOf } from './block-floats.js';
import { type Coder, packedAs } from './codes.js';
import { f32Reader } from './f32-source.js';
import { codebookCodes, codebookFits, levelBlocks, levelsFit } from './levels-task.js';
import { PaletteCoder } from './palette.js';
import { PaletteFit } from './palette-fit.js';
import { turnedPieces } from './turned-pieces.js';

/** Elements read at a time; of so many, the codes fill whole bytes. */
const STEP = 1 << 18;

type Running = Generator<number, TaskResult>;
type Pieces = Generator<{ readonly at: number; readonly values: Float32Array }>;

/** Fits codebooks to a tensor, then writes its codes: three reads, the last two mostly from the cache. */
export function* palette(task: PaletteTask, place: Workplace): Running {
  const fit = new PaletteFit(task.shape, task.dtype, task);
  const { kernels, results } = place.arena;
  for (const { at, values } of pieces(task, place)) {
    if (fit.groups.count === 1) {
      const odd = kernels.rowEnds(values.byteOffset, values.length, results.at);
      const [low = 0, high = 0] = new Float32Array(values.buffer, results.at, 2);
      fit.widenAll(low, high, odd);
    } else fit.widen(values, at);
    yield 0;
  }
  if (!fit.finite) return { finite: false };
  for (const part of fit.parts())
    for (const { at, values } of pieces(task, place, part.start, part.end)) {
      part.add(values, at);
      yield 0;
    }
  const { tables } = fit;
  const [table] = tables;
  if (table && codebookFits(task, tables.length))
    return { tables, ...(yield* codebookCodes(task, table, place)) };
  return { tables, ...(yield* written(task, place, new PaletteCoder(fit.groups, tables))) };
}

/** Finds the scales of blocks, then writes codes. */
export function* blockFloats(task: BlockFloatTask, place: Workplace): Running {
  if (levelsFit(task)) return yield* levelBlocks(task, place);
  const format = formatOf(task.format, task.block);
  const found = new BlockScales(task.end, format);
  const all = (): Pieces => (task.turned ? turnedPieces(task, task.turned, place) : pieces(task, place));
  for (const { at, values } of all()) {
    found.widen(values, at);
    yield 0;
  }
  if (!found.finite) return { finite: false };
  const scales = found.scales();
  return { scales, ...(yield* written(task, place, blockCoder(format, scales), all())) };
}

/** Writes the codes of all elements and counts what is lost. */
function* written(task: CodesTask, place: Workplace, coder: Coder, all = pieces(task, place)): Running {
  const errors = new Float64Array(6);
  const { path: file, codesAt, bits } = task;
  for (const { at, values } of all) {
    const codes = coder.codes(values, at);
    addErrors(errors, values, coder.valuesOf(codes, at));
    const bytes = packedAs(codes, bits);
    pwriteExactly(place.files.writer(file), bytes, codesAt + (at * bits) / 8, path.basename(file));
    yield values.byteLength;
  }
  return { finite: true, errors };
}

function* pieces({ program, end: all }: CodesTask, place: Workplace, start = 0, end = all): Pieces {
  const area = place.arena.codecArea(0);
  const { fill } = f32Reader(program, place);
  for (let at = start; at < end; at += STEP) {
    const count = Math.min(STEP, end - at);
    const bytes = area.bytes.subarray(0, count * 4);
    fill(bytes, at);
    yield { at, values: new Float32Array(bytes.buffer, area.at, count) };
  }
}

/** What `TaskResult.errors` holds. */
function addErrors(errors: Float64Array, values: Float32Array, back: Float64Array): void {
  let [error = 0, aa = 0, bb = 0, most = 0, mostRelative = 0] = errors;
  for (let i = 0; i < values.length; i++) {
    const [a, b] = [values[i] ?? 0, back[i] ?? 0];
    const difference = Math.abs(a - b);
    error += difference * difference;
    aa += a * a;
    bb += b * b;
    if (difference > most) most = difference;
    const relative = a === 0 ? 0 : difference / Math.abs(a);
    if (relative > mostRelative) mostRelative = relative;
  }
  errors.set([error, aa, bb, most, mostRelative]);
}
