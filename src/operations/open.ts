import { type FormatDescriptor, NO_PROGRESS, type WorkContext } from '../core/format.js';
import type { Model } from '../core/model.js';
import { isMlserError } from '../errors.js';
import { openInput } from '../formats/open.js';
import { isFolder } from '../io/disk.js';
import type { InputFiles } from '../io/files.js';
import { Bases, baseMismatch, blamesBase, type OpenContext } from './base.js';

export type { OpenContext } from './base.js';

/** A model that was opened: headers read, files held open until `close`. */
export interface OpenedModel {
  /** What the user typed. */
  readonly input: string;
  readonly model: Model;
  readonly files: InputFiles;
  readonly descriptor: FormatDescriptor;
  /** The models that a delta builds on, the nearest last. */
  readonly bases: readonly OpenedModel[];
  close(): Promise<void>;
}

/**
 * Opens a file, a folder, an index, a URL or a step of a run folder with the reader that recognises it. A delta is
 * opened with its base: one of `context.bases`, or what lies beside it. Errors name the input.
 */
export async function openModel(input: string, context: OpenContext = {}): Promise<OpenedModel> {
  const { files, descriptor } = await openInput(await stepOrInput(input));
  const bases = new Bases(openModel, context);
  const { findBase = bases.find } = context;
  const close = async (): Promise<void> => {
    await bases.close();
    await files.close();
  };
  try {
    const reader = await descriptor.reader();
    const model = await reader.read(files, { ...context, findBase });
    return { input, model, files, descriptor, bases: bases.opened, close };
  } catch (error) {
    await close();
    throw isMlserError(error) ? error.with({ input, format: descriptor.id }) : error;
  }
}

/** `runs/exp1@step-180`, or a run folder, stands for a file in it. What knows run folders is loaded only for those. */
async function stepOrInput(input: string): Promise<string> {
  if (!input.includes('@') && !isFolder(input)) return input;
  const { resolveRun } = await import('./delta/run-input.js');
  return (await resolveRun(input)) ?? input;
}

/** Runs `work` on opened models and closes them whatever happens. */
export async function withModels<T>(
  inputs: readonly string[],
  context: OpenContext,
  work: (opened: readonly OpenedModel[]) => Promise<T>,
): Promise<T> {
  const opened: OpenedModel[] = [];
  try {
    for (const input of inputs) opened.push(await openModel(input, context));
    return await work(opened);
  } catch (error) {
    throw blamesBase(error) ? await whichBase(error, opened, context) : error;
  } finally {
    for (const model of opened) await model.close();
  }
}

export const withModel = <T>(
  input: string,
  context: OpenContext,
  work: (opened: OpenedModel) => Promise<T>,
): Promise<T> =>
  withModels([input], context, ([opened]) => {
    if (!opened) throw new Error('no input was opened');
    return work(opened);
  });

/** Bytes came out wrong: another base (E_BASE_MISMATCH naming both), or the delta or base is damaged (as it was said). */
async function whichBase(
  error: Error,
  opened: readonly OpenedModel[],
  context: OpenContext,
): Promise<unknown> {
  const { hashModel } = await import('./hashes.js');
  const work: WorkContext = { threads: 1, maxMemory: 1 << 27, progress: NO_PROGRESS, ...context };
  for (const last of opened) {
    // From the bottom: what lies on a wrong base cannot be read either.
    const chain = [...last.bases, last];
    for (const [i, delta] of chain.entries()) {
      const needed = delta.model.delta?.base;
      const base = chain[i - 1];
      if (needed === undefined || !base) continue;
      try {
        const found = (await hashModel(base.model, work)).content;
        if (found !== needed) return baseMismatch(delta.input, needed, found);
      } catch {
        return error; // the base cannot be read itself
      }
    }
  }
  return error;
}

/** Bytes of the files that a model has been opened from. */
export const inputBytes = ({ files }: OpenedModel): number =>
  files.opened().reduce((sum, { size }) => sum + size, 0);
