import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Model } from '../../src/core/model.js';
import { memoryTensor, type TensorSource } from '../../src/core/tensor.js';
import { formatById } from '../../src/formats/index.js';
import { openInput } from '../../src/formats/open.js';
import type { InputFiles } from '../../src/io/files.js';
import { stageOutput } from '../../src/io/staged.js';
import { testContext } from '../support/context.js';

/** A folder that goes away with the tests. */
export function scratch(): { at: (name: string) => string; remove: () => void } {
  const folder = mkdtempSync(path.join(tmpdir(), 'mlser-validate-'));
  return {
    at: (name) => path.join(folder, name),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

export const tensor = (name: string, shape: readonly number[], values: readonly number[]): TensorSource =>
  memoryTensor({ name, dtype: 'f32', shape }, new Uint8Array(Float32Array.from(values).buffer));

export const modelOf = (tensors: readonly TensorSource[], format = 'memory'): Model => ({
  format,
  tensors,
  aliases: new Map(),
  metadata: new Map(),
  findings: [],
});

/** Writes a model in a format, as a verb would. */
export async function write(
  model: Model,
  file: string,
  format: string,
  options: { readonly compress?: boolean; readonly externalData?: boolean } = {},
): Promise<void> {
  const writer = await formatById(format)?.writer?.();
  if (!writer) throw new Error(`no writer of ${format}`);
  const files = stageOutput(file, { force: true });
  await writer.write(model, files, { ...testContext(), options });
  await files.commit();
}

export async function open(file: string): Promise<{ model: Model; files: InputFiles }> {
  const { files, descriptor } = await openInput(file);
  return { files, model: await (await descriptor.reader()).read(files, {}) };
}

export const codes = (findings: readonly { readonly code: string }[]): string[] =>
  findings.map(({ code }) => code);
