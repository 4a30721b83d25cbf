import { elementCount } from '../../../core/dtype.js';
import type { WorkContext } from '../../../core/format.js';
import type { Model } from '../../../core/model.js';
import type { GramRequest, GramSource, LayerFeeds, Magnitudes } from '../../../graph/quantize/types.js';
import type { InputFiles } from '../../../io/files.js';
import { type ArrayFile, withArrays } from '../../../runtime/arrays.js';
import type { FeedSource, Slice } from '../../../runtime/feed-source.js';
import { type Runtime, startRuntime } from '../../../runtime/process.js';
import type { Value, Values } from '../../../runtime/values.js';
import { measuring } from '../../observed-model.js';
import { onlyInputs, openChanged } from '../../open-changed.js';
import {
  gramName,
  largestName,
  magnifying,
  multiplying,
  shapeOfRows,
  squaresName,
  sumName,
} from './gram-model.js';
import { measure } from './measure.js';

/** Bytes of the matrices that are added up in one pass over the samples; at least one matrix. */
const WINDOW_BYTES = 128 << 20;
/** Bytes, as f32, of what one matrix is made from in one run. */
const RUN_BYTES = 64 << 20;
/** The sums of a product may depend on how it is cut among threads, and bytes that are written may not. */
const THREADS = 1;

export interface FeedsFrom {
  readonly files: InputFiles;
  /** Path of an npz with samples. */
  readonly data: string;
  readonly context: WorkContext;
  /** Default 128 MiB. */
  readonly windowBytes?: number;
}

/**
 * Gram matrices of what layers are fed with, over all samples. The runtime multiplies, in f64; here products are only
 * added. Windows of layers: only so many matrices exist at a time as fit into WINDOW_BYTES.
 */
export const layerFeeds = (from: FeedsFrom): LayerFeeds => ({
  async grams(model, wanted, take) {
    if (wanted.length === 0) return;
    const windows = windowsOf(wanted, from.windowBytes ?? WINDOW_BYTES);
    const sources = wanted.flatMap((request) => request.sources);
    await withFeeds(from, model, sources, windows.length, async (running) => {
      for (const window of windows) {
        const sums = await windowSums(running, window);
        for (const { key } of window) {
          const gram = sums.get(key);
          sums.delete(key);
          if (gram) await take(key, gram);
        }
      }
    });
  },

  async magnitudes(model, sources) {
    if (sources.length === 0) return new Map();
    return withFeeds(from, model, sources, 1, (running) => magnitudesOf(running, sources));
  },
});

/** Starts the runtime and finds out how samples are fed. */
async function withFeeds<T>(
  { files, data, context }: FeedsFrom,
  model: Model,
  sources: readonly GramSource[],
  rounds: number,
  work: (running: Running) => Promise<T>,
): Promise<T> {
  const runtime = startRuntime(context.signal ? { signal: context.signal } : {});
  try {
    return await withArrays(data, async (file) => {
      const feeds = await feedsFrom({ model, files, runtime }, sources, file);
      const passes = passesOf(feeds.slices);
      context.progress.stage('calibrate', rounds * passes.length);
      return work({ model, files, runtime, feeds, passes, context });
    });
  } finally {
    await runtime.close();
  }
}

/** So few samples at a time that what is multiplied stays small. */
async function feedsFrom(
  { model, files, runtime }: Pick<Running, 'model' | 'files' | 'runtime'>,
  sources: readonly GramSource[],
  file: ArrayFile | undefined,
): Promise<FeedSource> {
  const names = [...new Set(sources.map(({ value }) => value))];
  const repeats = sources.map(({ patches }) => elementCount(patches?.shape.slice(1) ?? []));
  const limit = RUN_BYTES / repeats.reduce((most, count) => Math.max(most, count), 1);
  const session = await openChanged({ model, files }, runtime, measuring(model, names), THREADS);
  try {
    return (await measure(session, file, { model, names, label: files.label, limit })).feeds;
  } finally {
    await session.release();
  }
}

/** A run, and how often what it gives is counted. */
interface Pass {
  readonly slice: Slice | undefined;
  readonly times: number;
}

/** A batch that was filled up with its last sample counts that one too often: a run over it alone takes it away again. */
function passesOf(slices: readonly Slice[] | undefined): readonly Pass[] {
  if (!slices) return [{ slice: undefined, times: 1 }];
  return slices.flatMap((slice) => {
    const { start, count, size } = slice;
    const whole = { slice, times: 1 };
    if (count === size) return [whole];
    const last = { start: start + count - 1, count: 1, size };
    return [whole, { slice: last, times: -(size - count) / size }];
  });
}

interface Running {
  readonly model: Model;
  readonly files: InputFiles;
  readonly runtime: Runtime;
  readonly feeds: FeedSource;
  readonly passes: readonly Pass[];
  readonly context: WorkContext;
}

async function windowSums(
  running: Running,
  window: readonly GramRequest[],
): Promise<Map<string, Float64Array>> {
  const sources = new Map(window.flatMap((request) => request.sources.map((one) => [one.id, one] as const)));
  const sums = new Map<string, Float64Array>();
  await runAll(running, multiplying(running.model, [...sources.values()]), (made, times) => {
    [...sources.keys()].forEach((id, index) => {
      const product = made.get(gramName(index));
      const takers = window.filter(({ sources: own }) => own.some((one) => one.id === id));
      takers.forEach(({ key, size }, i) => {
        const known = sums.get(key);
        if (known) addTo(known, product, times);
        else if (times === 1 && i === takers.length - 1) sums.set(key, checked(product, size * size));
        else addTo(put(sums, key, size), product, times);
      });
    });
  });
  return sums;
}

async function magnitudesOf(
  running: Running,
  sources: readonly GramSource[],
): Promise<ReadonlyMap<string, Magnitudes>> {
  const found = sources.map(({ size }) => ({
    ...{ largest: new Float64Array(size), sum: new Float64Array(size), squares: new Float64Array(size) },
    rows: 0,
  }));
  await runAll(running, magnifying(running.model, sources), (made, times) => {
    found.forEach((seen, index) => {
      const { largest, sum, squares } = seen;
      const most = made.get(largestName(index))?.data;
      const rows = made.get(shapeOfRows(index))?.data[0];
      if (!(most instanceof Float64Array) || most.length !== largest.length || rows === undefined)
        throw new Error('magnitudes of another size were made');
      // Math.max keeps NaN: who takes the magnitudes sees that they are none.
      most.forEach((x, k) => {
        largest[k] = Math.max(largest[k] ?? 0, x);
      });
      addTo(sum, made.get(sumName(index)), times);
      addTo(squares, made.get(squaresName(index)), times);
      seen.rows += Number(rows) * times;
    });
  });
  return new Map(found.map((seen, index) => [sources[index]?.id ?? '', seen]));
}

/** All passes over the samples through a changed graph. */
async function runAll(
  { model, files, runtime, feeds, passes, context }: Running,
  changed: Model,
  take: (made: Values, times: number) => void,
): Promise<void> {
  const session = await openChanged({ model, files }, runtime, changed, THREADS);
  try {
    for (const { slice, times } of passes) {
      const { outputs } = await session.run(onlyInputs(session, await feeds.load(slice)));
      take(outputs, times);
      context.progress.advance(1);
    }
  } finally {
    await session.release();
  }
}

function put(sums: Map<string, Float64Array>, key: string, size: number): Float64Array {
  const zeros = new Float64Array(size * size);
  sums.set(key, zeros);
  return zeros;
}

function checked(product: Value | undefined, length: number): Float64Array {
  if (product?.data instanceof Float64Array && product.data.length === length) return product.data;
  throw new Error('a product of another size was made');
}

function addTo(sums: Float64Array, product: Value | undefined, times: number): void {
  const data = checked(product, sums.length);
  for (let i = 0; i < sums.length; i++) sums[i] = (sums[i] ?? 0) + times * (data[i] ?? 0);
}

function windowsOf(wanted: readonly GramRequest[], limit: number): readonly (readonly GramRequest[])[] {
  const windows: GramRequest[][] = [];
  let room = 0;
  for (const request of wanted) {
    const bytes = request.size ** 2 * 8;
    const last = windows.at(-1);
    if (last && bytes <= room) last.push(request);
    else {
      windows.push([request]);
      room = limit;
    }
    room -= bytes;
  }
  return windows;
}
