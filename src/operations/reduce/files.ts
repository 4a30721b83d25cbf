import { type FormatDescriptor, NO_PROGRESS, type WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { memoryTensor } from '../../core/tensor.js';
import { formatById } from '../../formats/index.js';
import { outputPath } from '../../formats/open.js';
import { makeFolder } from '../../io/disk.js';
import { stageOutput } from '../../io/staged.js';
import { dtypeOf, type Value, type Values } from '../../runtime/values.js';

/** Writes a model without any more proof than that it could be written: for checks, and for companions of an output. */
export async function writePlain(
  model: Model,
  path: string,
  format: 'onnx' | 'npz',
  context: WorkContext,
  force = true,
): Promise<void> {
  const writer = await formatById(format)?.writer?.();
  if (!writer) throw new Error(`no writer for ${format}`);
  const files = stageOutput(path, { force, sync: false });
  try {
    await writer.write(model, files, { ...context, progress: NO_PROGRESS, options: {} });
    await files.commit();
  } catch (error) {
    await files.abort();
    throw error;
  }
}

/** Refuses before a long search what could not be written after it. @throws E_EXISTS, E_IO */
export async function checkOutputs(
  model: string,
  companions: readonly string[],
  options: { readonly force: boolean; readonly inputs: readonly string[] },
): Promise<void> {
  const unmake = /[\\/]$/.test(model) ? makeFolder(model) : undefined;
  try {
    for (const path of [outputPath(model, onnx()), ...companions]) await stageOutput(path, options).abort();
  } finally {
    unmake?.();
  }
}

/** Where the feeds of a part go that nobody named a place for. */
export const besides = (output: string): string =>
  `${outputPath(output, onnx()).replace(/\.onnx$/i, '')}.feeds.npz`;

function onnx(): FormatDescriptor {
  const found = formatById('onnx');
  if (!found) throw new Error('ONNX is a format');
  return found;
}

/** Values as an archive of arrays. */
export const valuesModel = (values: Values): Model => ({
  format: 'npz',
  tensors: [...values].map(([name, value]) =>
    memoryTensor({ name, dtype: dtypeOf(value.type), shape: value.dims }, bytesOf(value)),
  ),
  aliases: new Map(),
  metadata: new Map(),
  findings: [],
});

function bytesOf({ data }: Value): Uint8Array {
  if (!ArrayBuffer.isView(data)) throw new Error('text has no bytes in an archive');
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
