import type { WorkContext } from '../../../core/format.js';
import { LIMITS } from '../../../core/limits.js';
import type { Model } from '../../../core/model.js';
import type { InputFiles } from '../../../io/files.js';
import { type ArrayFile, withArrays } from '../../../runtime/arrays.js';
import { type FeedSource, trim } from '../../../runtime/feed-source.js';
import { type Runtime, startRuntime } from '../../../runtime/process.js';
import { toNumbers } from '../../../runtime/values.js';
import { measuring, observing } from '../../observed-model.js';
import { onlyInputs, openChanged } from '../../open-changed.js';
import { type Measured, measure } from './measure.js';

/** Bytes of all values of a window, in one run. */
const WINDOW_BYTES = 64 << 20;

type Take = (name: string, values: ArrayLike<number>) => void;

export interface ObserveRequest {
  readonly model: Model;
  readonly files: InputFiles;
  /** Values of the main graph. */
  readonly names: readonly string[];
  /** Path of an npz with samples. */
  readonly data?: string;
  /** Default 64 MiB. */
  readonly windowBytes?: number;
  readonly context: WorkContext;
}

/**
 * Runs the graph over the samples and hands on the f32 values among those named, window by window: only so many of
 * them are outputs at a time as fit into WINDOW_BYTES. `done` is told when all samples have gone through a window.
 */
export async function observe(
  request: ObserveRequest,
  take: Take,
  done: (names: readonly string[]) => Promise<void>,
): Promise<void> {
  const { context, names, windowBytes = WINDOW_BYTES } = request;
  const runtime = startRuntime(context.signal ? { signal: context.signal } : {});
  try {
    await withArrays(request.data, async (file) => {
      const { feeds, sizes } = await measured(request, runtime, file, windowBytes);
      const windows = windowsOf(names, sizes, windowBytes);
      context.progress.stage('calibrate', windows.length * (feeds.slices ?? [undefined]).length);
      for (const window of windows) {
        await runWindow(request, runtime, window, feeds, take);
        await done(window);
      }
    });
  } finally {
    await runtime.close();
  }
}

async function measured(
  request: ObserveRequest,
  runtime: Runtime,
  file: ArrayFile | undefined,
  limit: number,
): Promise<Measured> {
  const { model, names, files } = request;
  const session = await openChanged(request, runtime, measuring(model, names), request.context.threads);
  try {
    return await measure(session, file, { model, names, label: files.label, limit });
  } finally {
    await session.release();
  }
}

/** All samples through a part of the graph that gives the values of a window. */
async function runWindow(
  request: ObserveRequest,
  runtime: Runtime,
  window: readonly string[],
  feeds: FeedSource,
  take: Take,
): Promise<void> {
  // What is fed is known without a run.
  const fed = new Set(window.filter((name) => isInput(request.model, name)));
  const inner = window.filter((name) => !fed.has(name));
  const session =
    inner.length > 0
      ? await openChanged(request, runtime, observing(request.model, inner), request.context.threads)
      : undefined;
  const fetched = (session?.outputs ?? []).flatMap(({ name, type }) => (type === 'float32' ? [name] : []));
  for (const slice of feeds.slices ?? [undefined]) {
    const given = await feeds.load(slice);
    const made =
      session && fetched.length > 0
        ? (await session.run(onlyInputs(session, given), fetched)).outputs
        : given;
    for (const name of window) {
      const value = (fed.has(name) ? given : made).get(name);
      if (value?.type === 'float32') take(name, toNumbers(trim(value, slice)));
    }
    request.context.progress.advance(1);
  }
  await session?.release();
}

const isInput = ({ graph }: Model, name: string): boolean =>
  graph?.inputs.some((input) => input.name === name) ?? false;

/** Consecutive values that fit into a window; at least one each. */
export function windowsOf(
  names: readonly string[],
  sizes: ReadonlyMap<string, number>,
  limit: number,
): readonly (readonly string[])[] {
  const windows: string[][] = [];
  let room = 0;
  for (const name of names) {
    const bytes = sizes.get(name) ?? LIMITS.FEED_BYTES;
    const last = windows.at(-1);
    if (last && bytes <= room) {
      last.push(name);
      room -= bytes;
    } else {
      windows.push([name]);
      room = limit - bytes;
    }
  }
  return windows;
}
