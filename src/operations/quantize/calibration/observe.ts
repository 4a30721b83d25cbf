import type { WorkContext } from '../../../core/format.js';
import { LIMITS } from '../../../core/limits.js';
import type { Model } from '../../../core/model.js';
import { isMlserError, MlserError } from '../../../errors.js';
import type { InputFiles } from '../../../io/files.js';
import { type ArrayFile, withArrays } from '../../../runtime/arrays.js';
import { type ActualDevice, providersOf } from '../../../runtime/devices.js';
import { type FeedSource, trim } from '../../../runtime/feed-source.js';
import { type Runtime, type Session, startRuntime } from '../../../runtime/process.js';
import type { ModelReference } from '../../../runtime/protocol.js';
import { toNumbers, type Values } from '../../../runtime/values.js';
import { isRefusedPath } from '../../../validate/open-session.js';
import { type Measured, measure } from './measure.js';
import { bytesFor, measuring, observing } from './observed-model.js';

/** Bytes of all values of a window, in one run. */
const WINDOW_BYTES = 64 << 20;
/** Weights of models whose files the runtime cannot open by itself, which are handed over in memory. */
const IN_MEMORY_BYTES = 256 << 20;

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

/** A part of the graph may not take every input. */
export const onlyInputs = (session: Session, feeds: Values): Values =>
  new Map([...feeds].filter(([name]) => session.inputs.some((input) => input.name === name)));

export async function openChanged(
  { model, files }: Pick<ObserveRequest, 'model' | 'files'>,
  runtime: Runtime,
  changed: Model,
  threads: number,
  device: ActualDevice = 'cpu',
): Promise<Session> {
  const create = (reference: ModelReference, lean: boolean): Promise<Session> =>
    runtime.create(reference, { providers: providersOf(device), threads, lean }, files.label);
  // Some f16 graphs are refused by the runtime (1.30) without its optimizations, and taken with them.
  const opened = (reference: ModelReference): Promise<Session> =>
    create(reference, true).catch((error: unknown) => {
      if (!isMlserError(error) || error.code !== 'E_RUNTIME' || isRefusedPath(error)) throw error;
      return create(reference, false);
    });
  const { folder } = files;
  if (folder !== undefined && model.format === 'onnx')
    try {
      return await opened({ bytes: await bytesFor(changed, true), folder });
    } catch (error) {
      if (!isRefusedPath(error)) throw error;
    }
  const bytes = changed.tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);
  if (bytes > IN_MEMORY_BYTES)
    throw new MlserError('E_UNSUPPORTED', `${files.label}: too large to be calibrated from where it lies`, {
      details: { input: files.label, bytes },
      hint: 'copy the model to a local folder first',
    });
  return opened({ bytes: await bytesFor(changed, false) });
}

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
