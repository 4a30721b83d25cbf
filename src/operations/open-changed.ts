import type { Model } from '../core/model.js';
import { isMlserError, MlserError } from '../errors.js';
import type { InputFiles } from '../io/files.js';
import { type ActualDevice, providersOf } from '../runtime/devices.js';
import type { Runtime, Session } from '../runtime/process.js';
import type { ModelReference } from '../runtime/protocol.js';
import type { Values } from '../runtime/values.js';
import { isRefusedPath } from '../validate/open-session.js';
import { bytesFor } from './observed-model.js';

/** Weights of models whose files the runtime cannot open by itself, which are handed over in memory. */
const IN_MEMORY_BYTES = 256 << 20;

/** A part of the graph may not take every input. */
export const onlyInputs = (session: Session, feeds: Values): Values =>
  new Map([...feeds].filter(([name]) => session.inputs.some((input) => input.name === name)));

/**
 * A session of a changed model, whose weights lie where those of the model that it was made from do. E_UNSUPPORTED for
 * a large one that is not on a local disk.
 */
export async function openChanged(
  { model, files }: { readonly model: Model; readonly files: InputFiles },
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
    throw new MlserError('E_UNSUPPORTED', `${files.label}: too large to be run from where it lies`, {
      details: { input: files.label, bytes },
      hint: 'copy the model to a local folder first',
    });
  return opened({ bytes: await bytesFor(changed, false) });
}
