import type { WorkContext } from '../../../core/format.js';
import { LIMITS } from '../../../core/limits.js';
import type { Model } from '../../../core/model.js';
import { MlserError } from '../../../errors.js';
import { vocabularyOf } from '../../../graph/vocabulary.js';
import type { InputFiles } from '../../../io/files.js';
import { type ArrayFile, withArrays } from '../../../runtime/arrays.js';
import { providersOf } from '../../../runtime/devices.js';
import {
  type FeedSource,
  feedsFromFile,
  fixedFeeds,
  SAMPLES_PER_RUN,
  trim,
} from '../../../runtime/feed-source.js';
import { type Runtime, type Session, startRuntime } from '../../../runtime/process.js';
import { toNumbers, type ValueInfo, type Values } from '../../../runtime/values.js';
import { findFeeds } from '../../../validate/find-feeds.js';
import { isRefusedPath } from '../../../validate/open-session.js';
import { cutsWrongly } from '../../../validate/run.js';
import { inputsOf } from '../../../validate/runnable.js';
import { bytesFor, measuring, observing, shapeName } from './observed-model.js';

/** Bytes of all values of a window, in one run. */
const WINDOW_BYTES = 64 << 20;
/** Weights of models whose files the runtime cannot open by itself, which are handed over in memory. */
const IN_MEMORY_BYTES = 256 << 20;

export interface ObserveRequest {
  readonly model: Model;
  readonly files: InputFiles;
  /** Values of the main graph. */
  readonly names: readonly string[];
  /** Path of an npz with samples. */
  readonly data?: string;
  readonly context: WorkContext;
}

/**
 * Runs the graph over the samples and hands on the f32 values among those named, window by window: only so many of
 * them are outputs at a time as fit into WINDOW_BYTES. `done` is told when all samples have gone through a window.
 */
export async function observe(
  request: ObserveRequest,
  take: (name: string, values: ArrayLike<number>) => void,
  done: (names: readonly string[]) => Promise<void>,
): Promise<void> {
  const { context, names } = request;
  const runtime = startRuntime(context.signal ? { signal: context.signal } : {});
  try {
    await withArrays(request.data, async (file) => {
      const { feeds, sizes } = await measure(request, runtime, file);
      const slices = feeds.slices ?? [undefined];
      const windows = windowsOf(names, sizes);
      context.progress.stage('calibrate', windows.length * slices.length);
      for (const window of windows) {
        const inputs = window.filter((name) => isInput(request.model, name));
        const inner = window.filter((name) => !isInput(request.model, name));
        const session =
          inner.length > 0 ? await open(request, runtime, observing(request.model, inner)) : undefined;
        const fetched = (session?.outputs ?? []).flatMap(({ name, type }) =>
          type === 'float32' ? [name] : [],
        );
        for (const slice of slices) {
          const fed = await feeds.load(slice);
          const made: Values =
            session && fetched.length > 0
              ? (await session.run(onlyInputs(session, fed), fetched)).outputs
              : new Map();
          for (const name of window) {
            const value = made.get(name) ?? (inputs.includes(name) ? fed.get(name) : undefined);
            if (value?.type === 'float32') take(name, toNumbers(trim(value, slice)));
          }
          context.progress.advance(1);
        }
        await session?.release();
        await done(window);
      }
    });
  } finally {
    await runtime.close();
  }
}

const isInput = ({ graph }: Model, name: string): boolean =>
  graph?.inputs.some((input) => input.name === name) ?? false;

/** A part of the graph may not take every input. */
const onlyInputs = (session: Session, feeds: Values): Values =>
  new Map([...feeds].filter(([name]) => session.inputs.some((input) => input.name === name)));

async function open(
  { model, files, context }: ObserveRequest,
  runtime: Runtime,
  changed: Model,
): Promise<Session> {
  const settings = { providers: providersOf('cpu'), threads: context.threads, lean: true };
  const { folder } = files;
  if (folder !== undefined && model.format === 'onnx')
    try {
      return await runtime.create({ bytes: await bytesFor(changed, true), folder }, settings, files.label);
    } catch (error) {
      if (!isRefusedPath(error)) throw error;
    }
  const bytes = changed.tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);
  if (bytes > IN_MEMORY_BYTES)
    throw new MlserError('E_UNSUPPORTED', `${files.label}: too large to be calibrated from where it lies`, {
      details: { input: files.label, bytes },
      hint: 'copy the model to a local folder first',
    });
  return runtime.create({ bytes: await bytesFor(changed, false) }, settings, files.label);
}

interface Measured {
  readonly feeds: FeedSource;
  /** Bytes of a value in one run, where they are known. */
  readonly sizes: ReadonlyMap<string, number>;
}

/** Finds feeds and how large the values are, with a graph that gives away nothing but their shapes. */
async function measure(
  request: ObserveRequest,
  runtime: Runtime,
  file: ArrayFile | undefined,
): Promise<Measured> {
  const { model, names, files } = request;
  if (!model.graph) throw new Error('only graphs are calibrated');
  const session = await open(request, runtime, measuring(model, names));
  try {
    const inputs = inputsOf(session, model.graph);
    if (!file) {
      const found = await findFeeds(session, inputs, vocabularyOf(model));
      if ('code' in found)
        throw new MlserError('E_RUNTIME', found.message, {
          details: { input: files.label },
          hint: 'give samples of the inputs with --calibration data.npz',
        });
      const sizes = sizesOf(names, found.outputs);
      return { feeds: fixedFeeds(found.feeds), sizes };
    }
    return await fromFile(session, file, inputs, request);
  } finally {
    await session.release();
  }
}

async function fromFile(
  session: Session,
  file: ArrayFile,
  inputs: readonly ValueInfo[],
  { model, names }: ObserveRequest,
): Promise<Measured> {
  let feeds = feedsFromFile(file, inputs);
  let { outputs } = await session.run(await feeds.load(feeds.slices?.[0]));
  const own = new Map(
    [...outputs].filter(([name]) => model.graph?.outputs.some((output) => output.name === name)),
  );
  if (cutsWrongly(own, feeds.slices?.[0])) {
    feeds = { ...feeds, slices: undefined };
    ({ outputs } = await session.run(await feeds.load(undefined)));
  }
  const sizes = sizesOf(names, outputs);
  const largest = Math.max(0, ...sizes.values());
  const perRun = feeds.slices?.[0]?.size ?? SAMPLES_PER_RUN;
  if (largest <= WINDOW_BYTES || !feeds.slices) return { feeds, sizes };
  // Values of one run are too large together with the copies that are made on their way: fewer samples at a time.
  const fewer = Math.max(1, Math.floor((perRun * WINDOW_BYTES) / largest));
  const smaller = feedsFromFile(file, inputs, fewer);
  const share = (smaller.slices?.[0]?.size ?? perRun) / perRun;
  return { feeds: smaller, sizes: new Map([...sizes].map(([name, bytes]) => [name, bytes * share])) };
}

function sizesOf(names: readonly string[], outputs: Values): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  for (const name of names) {
    const shape = outputs.get(shapeName(name));
    if (shape)
      sizes.set(
        name,
        Array.from(toNumbers(shape)).reduce((product, size) => product * size, 4),
      );
  }
  return sizes;
}

/** Consecutive values that fit into a window; at least one each. */
export function windowsOf(
  names: readonly string[],
  sizes: ReadonlyMap<string, number>,
  limit = WINDOW_BYTES,
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
