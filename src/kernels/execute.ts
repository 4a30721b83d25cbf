import * as path from 'node:path';
import { dtypeFacts } from '../core/dtype.js';
import { MlserError } from '../errors.js';
import { PieceCrcs } from '../io/crc32.js';
import { pwriteExactly } from '../io/disk.js';
import { sha256Hasher } from '../io/hashing.js';
import { arenaCrc32 } from './arena-crc.js';
import type { Batch } from './batches.js';
import { BlockReader } from './block-reader.js';
import { DifferenceFold } from './compare-fold.js';
import { DistinctCount, isWorthCounting } from './distinct.js';

import { Pipeline } from './pipeline.js';
import { keyText } from './program.js';
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
  type SumTask,
  type Task,
  type TaskResult,
} from './tasks.js';
import { ValueHistogramFold } from './value-histogram.js';
import type { Workplace } from './workplace.js';

/** Yields the canonical bytes done with every block; whoever drives it may stop between two blocks. */
export type Running = Generator<number, TaskResult>;

/** Does a task on this thread, a block at a time. */
function execute(task: Task, place: Workplace): Running {
  switch (task.kind) {
    case 'copy':
      return copy(task, place);
    case 'sum':
      return sum(task, place);
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

function* sum(task: SumTask, place: Workplace): Running {
  const reader = new BlockReader(task.program, place, [0, 1]);
  for (let start = task.start; start < task.end; start += BLOCK_ELEMENTS) {
    reader.read(start, Math.min(task.end, start + BLOCK_ELEMENTS));
    yield 0;
  }
  return rawCrcOf(reader, task);
}

function* hash(task: HashTask, place: Workplace): Running {
  const reader = new BlockReader(task.program, place, [0, 1]);
  const { pipeline } = reader;
  const { count } = task.program;
  const whole = task.start === 0 && task.end === count;
  const key = whole ? '' : keyText(task.program);
  const hasher = task.start === 0 ? sha256Hasher() : place.hashing.get(key);
  if (!hasher) throw new Error(`${task.program.tensor}: the parts of a digest were not done in order`);
  for (let start = task.start; start < task.end; start += pipeline.blockElements) {
    const end = Math.min(task.end, start + pipeline.blockElements);
    const bytes = reader.bytes(start, end);
    hasher.update(bytes);
    yield whole ? bytes.length : 0;
  }
  if (task.end === count) place.hashing.delete(key);
  else place.hashing.set(key, hasher);
  return {
    ...rawCrcOf(reader, task),
    ...(task.end === count ? { sha256: hasher.digest('hex') } : {}),
  };
}

function* statistics(task: StatisticsTask, place: Workplace): Running {
  const reader = new BlockReader(task.program, place, [0, 1]);
  const fold = new StatisticsFold(task.dtype, task.detail);
  const words = dtypeFacts(task.dtype).bits === 64 ? 2 : 1;
  const counting = task.distinct === 'count' ? new DistinctCount(place.distinct, words, task.end) : undefined;
  let promising: boolean | undefined;
  for (let start = task.start; start < task.end; start += BLOCK_ELEMENTS) {
    const end = Math.min(task.end, start + BLOCK_ELEMENTS);
    const block = reader.read(start, end);
    counting?.add(block.bytes, end - start);
    if (task.distinct === 'look') promising ??= isWorthCounting(place.distinct, block.bytes, words);
    fold.add(place.arena, block, end - start);
    yield reader.pipeline.outBytes(start, end);
  }
  const distinct = counting?.result;
  return {
    ...rawCrcOf(reader, task),
    statistics: fold.finish(),
    ...(distinct === undefined ? {} : { distinct }),
    ...(promising === undefined ? {} : { promising }),
  };
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
  const counting = new DistinctCount(place.distinct, task.bits === 64 ? 2 : 1, task.end);
  for (let start = task.start; start < task.end && counting.isOpen; start += BLOCK_ELEMENTS) {
    const end = Math.min(task.end, start + BLOCK_ELEMENTS);
    counting.add(reader.read(start, end).bytes, end - start);
    yield 0;
  }
  const { result } = counting;
  return result === undefined ? {} : { distinct: result };
}

function* compare(task: CompareTask, place: Workplace): Running {
  const { arena } = place;
  const slots = arena.slots;
  const a = new BlockReader(task.program, place, [0, 1]);
  const b = new BlockReader(task.other, place, [2, 3]);
  const fold = new DifferenceFold(task.types, task.sums);
  const meant = task.steps && new Pipeline(task.steps, a.pipeline.outBits);
  let exact = true;
  const figures = task.figures && new StatisticsFold(task.figures, false);
  for (let start = task.start; start < task.end; start += BLOCK_ELEMENTS) {
    const end = Math.min(task.end, start + BLOCK_ELEMENTS);
    const left = a.read(start, end);
    const right = b.read(start, end);
    figures?.add(arena, right, end - start);
    const spareA = arena.slot(slots[0] === left ? 1 : 0);
    const spareB = arena.slot(slots[2] === right ? 3 : 2);
    if (meant && exact) {
      const length = meant.outBytes(start, end);
      if (!meant.leavesInput) spareA.bytes.set(left.bytes.subarray(0, a.pipeline.outBytes(start, end)));
      const made = meant.leavesInput
        ? meant.run(arena, left, spareA, end - start, start)
        : meant.run(arena, spareA, spareB, end - start, start);
      exact = Buffer.compare(made.bytes.subarray(0, length), right.bytes.subarray(0, length)) === 0;
    }
    fold.add(arena, left, right, spareA, spareB, end - start);
    // The sums are a second look at the same bytes.
    yield task.sums ? 0 : a.pipeline.outBytes(start, end) + b.pipeline.outBytes(start, end);
  }
  return {
    ...rawCrcOf(a, task),
    ...(task.other.crc32 === undefined ? {} : { otherCrc: b.rawCrc }),
    difference: fold.finish(),
    ...(meant ? { exact } : {}),
    ...(figures ? { statistics: figures.finish() } : {}),
  };
}

/** Does the tasks of a batch, and of those that follow it; yields as they do. An error says which tensor it is about. */
export function* executeBatch(batch: Batch, place: Workplace): Generator<number, TaskResult[]> {
  const results: TaskResult[] = [];
  for (let one: Batch | undefined = batch; one; one = one.next) {
    place.window.open(one.window, one !== batch);
    results.push(...(yield* executeTasks(one, place)));
  }
  return results;
}

function* executeTasks({ tasks, abreast }: Batch, place: Workplace): Generator<number, TaskResult[]> {
  const results: TaskResult[] = [];
  const rows = abreast ? [tasks.map((_, i) => i)] : tasks.map((_, i) => [i]);
  for (const row of rows) {
    const running = new Map(row.map((i) => [i, named(tasks[i], place)]));
    while (running.size > 0)
      for (const [i, one] of running) {
        const step = one.next();
        if (!step.done) {
          yield step.value;
          continue;
        }
        results[i] = step.value;
        running.delete(i);
      }
  }
  return results;
}

function* named(task: Task | undefined, place: Workplace): Running {
  if (!task) return {};
  try {
    return yield* execute(task, place);
  } catch (error) {
    throw error instanceof MlserError ? error.with({ tensor: task.program.tensor }) : error;
  }
}
