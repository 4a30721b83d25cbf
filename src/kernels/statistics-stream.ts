import { dtypeFacts, elementCount } from '../core/dtype.js';
import type { Progress } from '../core/format.js';
import type { TensorSource } from '../core/tensor.js';
import { blocksOf } from './blocks.js';
import { DistinctCount, type DistinctSet } from './distinct.js';
import { interrupted } from './messages.js';
import { StatisticsFold, type StatisticsPart } from './statistics-fold.js';
import { RANGE_ELEMENTS } from './tasks.js';
import { ValueHistogramFold } from './value-histogram.js';
import { arena, type Slot } from './wasm.js';

/** The same figures as the tasks, for tensors that have to be streamed. */

async function* blocks(
  { info, stream }: TensorSource,
  signal: AbortSignal,
): AsyncGenerator<{ readonly bytes: Uint8Array; readonly count: number }> {
  for await (const block of blocksOf(stream(), dtypeFacts(info.dtype).bits, elementCount(info.shape))) {
    if (signal.aborted) throw interrupted();
    yield block;
  }
}

/** The block in the arena; to be used before anybody else can run. */
function inSlot(bytes: Uint8Array): Slot {
  const slot = arena().slot(0);
  slot.bytes.set(bytes);
  return slot;
}

export async function streamStatistics(
  tensor: TensorSource,
  detail: boolean,
  progress: Progress,
  signal: AbortSignal,
): Promise<StatisticsPart[]> {
  const parts: StatisticsPart[] = [];
  let fold = new StatisticsFold(tensor.info.dtype, detail);
  let folded = 0;
  for await (const { bytes, count } of blocks(tensor, signal)) {
    fold.add(arena(), inSlot(bytes), count);
    progress.advance(bytes.length);
    folded += count;
    if (folded < RANGE_ELEMENTS) continue;
    parts.push(fold.finish());
    fold = new StatisticsFold(tensor.info.dtype, detail);
    folded = 0;
  }
  if (folded > 0) parts.push(fold.finish());
  return parts;
}

/** Undefined: more than 65,536 different values. */
export async function streamDistinct(
  tensor: TensorSource,
  set: DistinctSet,
  signal: AbortSignal,
): Promise<number | undefined> {
  const words = dtypeFacts(tensor.info.dtype).bits === 64 ? 2 : 1;
  const counting = new DistinctCount(set.cleared(), words, elementCount(tensor.info.shape));
  for await (const { bytes, count } of blocks(tensor, signal)) {
    counting.add(bytes, count);
    if (!counting.isOpen) break;
  }
  return counting.result;
}

export async function streamHistogram(
  tensor: TensorSource,
  ends: { readonly min: number; readonly max: number },
  bins: number,
  signal: AbortSignal,
): Promise<Float64Array> {
  const fold = new ValueHistogramFold(tensor.info.dtype, ends.min, ends.max, bins);
  for await (const { bytes, count } of blocks(tensor, signal)) fold.add(inSlot(bytes), count);
  return fold.finish();
}
