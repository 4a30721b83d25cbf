import * as path from 'node:path';
import { MlserError } from '../errors.js';
import { PieceCrcs } from '../io/crc32.js';
import { pwriteExactly } from '../io/disk.js';
import { sha256Hasher } from '../io/hashing.js';
import { arenaCrc32 } from './arena-crc.js';
import { BlockReader } from './block-reader.js';
import { DifferenceFold } from './compare-fold.js';
import { COUNTED_ELEMENTS, LOOK_ELEMENTS } from './distinct.js';
import { digits } from './prune/digits-task.js';
import { magnitudes } from './prune/magnitudes-task.js';
import { near, sample } from './prune/near-task.js';
import { blocks } from './quantize/blocks-task.js';
import { blockFloats, palette } from './quantize/codes-task.js';
import { halfErrors } from './quantize/half-task.js';
import { ends, linear } from './quantize/linear-task.js';
import { rowBlocks } from './quantize/row-blocks-task.js';
import { StatisticsFold } from './statistics-fold.js';
import {
  BLOCK_ELEMENTS,
  type CompareTask,
  type CopyTask,
  type DistinctTask,
  type HashTask,
  type HistogramTask,
  type StatisticsTask,
  type Task,
  type TaskResult,
} from './tasks.js';
import { ValueHistogramFold } from './value-histogram.js';
import { viewAs } from './views.js';
import type { Workplace } from './workplace.js';

/** Yields the canonical bytes done with every block; whoever drives it may stop between two blocks. */
export type Running = Generator<number, TaskResult>;

/** Does a task on this thread, a block at a time. */
export function execute(task: Task, place: Workplace): Running {
  switch (task.kind) {
    case 'copy':
      return copy(task, place);
    case 'hash':
      return hash(task, place);
    case 'statistics':
      return statistics(task, place);
    case 'histogram':
      return histogram(task, place);
    case 'distinct':
      return distinct(task, place);
    case 'compare':
      return compare(task, place);
    case 'blocks':
      return blocks(task, place);
    case 'row-blocks':
      return rowBlocks(task, place);
    case 'ends':
      return ends(task, place);
    case 'linear':
      return linear(task, place);
    case 'half':
      return halfErrors(task, place);
    case 'palette':
      return palette(task, place);
    case 'block-floats':
      return blockFloats(task, place);
    case 'digits':
      return digits(task, place);
    case 'sample':
      return sample(task, place);
    case 'near':
      return near(task, place);
    case 'magnitudes':
      return magnitudes(task, place);
  }
}

const rawCrcOf = (reader: BlockReader, task: Task): { rawCrc?: number } =>
  task.program.crc32 === undefined ? {} : { rawCrc: reader.rawCrc };

function* copy(task: CopyTask, place: Workplace): Running {
  const reader = new BlockReader(task.program, place, [0, 1]);
  const { pipeline } = reader;
  const name = path.basename(task.path);
  const hasher = task.sha256 ? sha256Hasher() : undefined;
  const pieces = task.crcEvery === undefined ? undefined : new PieceCrcs(task.crcEvery, arenaCrc32);
  let crc = 0;
  let offset = task.offset;
  for (let start = task.start; start < task.end; start += pipeline.blockElements) {
    const end = Math.min(task.end, start + pipeline.blockElements);
    const bytes = reader.bytes(start, end);
    pwriteExactly(place.files.writer(task.path), bytes, offset, name);
    if (task.crc32) crc = arenaCrc32(bytes, crc);
    hasher?.update(bytes);
    pieces?.update(bytes);
    offset += bytes.length;
    yield bytes.length;
  }
  return {
    ...rawCrcOf(reader, task),
    ...(task.crc32 ? { crc32: crc } : {}),
    ...(pieces ? { crcs: pieces.finish() } : {}),
    ...(hasher ? { sha256: hasher.digest('hex') } : {}),
  };
}

function* hash(task: HashTask, place: Workplace): Running {
  const reader = new BlockReader(task.program, place, [0, 1]);
  const { pipeline } = reader;
  const hasher = sha256Hasher();
  for (let start = task.start; start < task.end; start += pipeline.blockElements) {
    const end = Math.min(task.end, start + pipeline.blockElements);
    const bytes = reader.bytes(start, end);
    hasher.update(bytes);
    yield bytes.length;
  }
  return { ...rawCrcOf(reader, task), sha256: hasher.digest('hex') };
}

function* statistics(task: StatisticsTask, place: Workplace): Running {
  const reader = new BlockReader(task.program, place, [0, 1]);
  const fold = new StatisticsFold(task.dtype, task.detail);
  for (let start = task.start; start < task.end; start += BLOCK_ELEMENTS) {
    const end = Math.min(task.end, start + BLOCK_ELEMENTS);
    fold.add(place.arena, reader.read(start, end), end - start);
    yield reader.pipeline.outBytes(start, end);
  }
  return { ...rawCrcOf(reader, task), statistics: fold.finish() };
}

function* histogram(task: HistogramTask, place: Workplace): Running {
  const reader = new BlockReader(task.program, place, [0, 1]);
  const fold = new ValueHistogramFold(task.dtype, task.min, task.max, task.bins);
  for (let start = task.start; start < task.end; start += BLOCK_ELEMENTS) {
    const end = Math.min(task.end, start + BLOCK_ELEMENTS);
    fold.add(reader.read(start, end), end - start);
    yield 0;
  }
  return { counts: fold.finish() };
}

function* distinct(task: DistinctTask, place: Workplace): Running {
  const reader = new BlockReader(task.program, place, [0, 1]);
  const set = place.distinct;
  const words = task.bits === 64 ? 2 : 1;
  if (task.end - task.start > COUNTED_ELEMENTS) {
    const look = reader.read(task.start, task.start + LOOK_ELEMENTS);
    set.add(viewAs(Uint32Array, look.bytes, LOOK_ELEMENTS * words), words);
    if (!set.isPromising) return {};
  }
  for (let start = task.start; start < task.end; start += BLOCK_ELEMENTS) {
    const end = Math.min(task.end, start + BLOCK_ELEMENTS);
    const block = reader.read(start, end);
    if (!set.add(viewAs(Uint32Array, block.bytes, (end - start) * words), words)) return {};
    yield 0;
  }
  return set.size === undefined ? {} : { distinct: set.size };
}

function* compare(task: CompareTask, place: Workplace): Running {
  const { arena } = place;
  const slots = arena.slots;
  const a = new BlockReader(task.program, place, [0, 1]);
  const b = new BlockReader(task.other, place, [2, 3]);
  const fold = new DifferenceFold(task.types, task.sums);
  const figures = task.figures && new StatisticsFold(task.figures, false);
  for (let start = task.start; start < task.end; start += BLOCK_ELEMENTS) {
    const end = Math.min(task.end, start + BLOCK_ELEMENTS);
    const left = a.read(start, end);
    const right = b.read(start, end);
    figures?.add(arena, right, end - start);
    const spareA = arena.slot(slots[0] === left ? 1 : 0);
    const spareB = arena.slot(slots[2] === right ? 3 : 2);
    fold.add(arena, left, right, spareA, spareB, end - start);
    // The sums are a second look at the same bytes.
    yield task.sums ? 0 : a.pipeline.outBytes(start, end) + b.pipeline.outBytes(start, end);
  }
  return {
    ...rawCrcOf(a, task),
    ...(task.other.crc32 === undefined ? {} : { otherCrc: b.rawCrc }),
    difference: fold.finish(),
    ...(figures ? { statistics: figures.finish() } : {}),
  };
}

/** An error of a task, with the tensor that it was about. */
export const inTensor = (error: unknown, task: Task): unknown =>
  error instanceof MlserError ? error.with({ tensor: task.program.tensor }) : error;
