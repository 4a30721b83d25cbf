import type { FormatDescriptor, ReadContext } from '../core/format.js';
import type { Model } from '../core/model.js';
import { isMlserError } from '../errors.js';
import { openInput } from '../formats/open.js';
import type { InputFiles } from '../io/files.js';

/** A model that was opened: headers read, files held open until `close`. */
export interface OpenedModel {
  /** What the user typed. */
  readonly input: string;
  readonly model: Model;
  readonly files: InputFiles;
  readonly descriptor: FormatDescriptor;
  close(): Promise<void>;
}

/** Opens a file, a folder, an index or a URL with the reader that recognises it. Errors name the input. */
export async function openModel(input: string, context: ReadContext = {}): Promise<OpenedModel> {
  const { files, descriptor } = await openInput(input);
  try {
    const reader = await descriptor.reader();
    const model = await reader.read(files, context);
    return { input, model, files, descriptor, close: () => files.close() };
  } catch (error) {
    await files.close();
    throw isMlserError(error) ? error.with({ input, format: descriptor.id }) : error;
  }
}

/** Runs `work` on opened models and closes them whatever happens. */
export async function withModels<T>(
  inputs: readonly string[],
  context: ReadContext,
  work: (opened: readonly OpenedModel[]) => Promise<T>,
): Promise<T> {
  const opened: OpenedModel[] = [];
  try {
    for (const input of inputs) opened.push(await openModel(input, context));
    return await work(opened);
  } finally {
    for (const model of opened) await model.close();
  }
}

export async function withModel<T>(
  input: string,
  context: ReadContext,
  work: (opened: OpenedModel) => Promise<T>,
): Promise<T> {
  const opened = await openModel(input, context);
  try {
    return await work(opened);
  } finally {
    await opened.close();
  }
}
