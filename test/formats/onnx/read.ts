import type { Model } from '../../../src/core/model.js';
import { readTensor } from '../../../src/core/tensor.js';
import { isMlserError, type MlserError } from '../../../src/errors.js';
import { reader } from '../../../src/formats/onnx/reader.js';
import { memoryFiles } from '../../support/memory-files.js';

/** Reads a model and its side files from memory. */
export const readBytes = (
  model: Uint8Array,
  side: Readonly<Record<string, Uint8Array>> = {},
): Promise<Model> =>
  reader.read(memoryFiles('m.onnx', new Map([['m.onnx', model], ...Object.entries(side)])), {});

export const tensorBytes = async (model: Model, name: string): Promise<number[]> => [
  ...(await readTensor(model.tensors.find((tensor) => tensor.info.name === name)!)),
];

/** The coded error of a read that must fail; any other exception is a bug and is thrown. */
export async function refusal(read: Promise<unknown>): Promise<MlserError> {
  try {
    await read;
  } catch (error) {
    if (isMlserError(error)) return error;
    throw error;
  }
  throw new Error('it was read');
}
