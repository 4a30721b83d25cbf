import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll } from 'vitest';
import { type DType, tensorBytes } from '../../src/core/dtype.js';
import type { WorkContext, WriteOptions } from '../../src/core/format.js';
import type { Model } from '../../src/core/model.js';
import { memoryTensor, readTensor, type TensorSource } from '../../src/core/tensor.js';
import { isMlserError, type MlserError } from '../../src/errors.js';
import { FORMATS } from '../../src/formats/index.js';
import { stageOutput } from '../../src/io/staged.js';
import type { OpenContext } from '../../src/operations/base.js';
import { applyDeltas } from '../../src/operations/delta/apply.js';
import { createDelta, type DeltaOptions } from '../../src/operations/delta/create.js';
import { hashModel } from '../../src/operations/hashes.js';
import { withModel } from '../../src/operations/open.js';
import { testContext } from './context.js';

/** Checkpoints of a real training. */
export const CHECKPOINTS = path.resolve('fixtures/trained/digits_cnn/checkpoints');
export const checkpoint = (name: string): string => path.join(CHECKPOINTS, name);

/** The bytes are compared; nothing waits for the disk, and no runtime is started. */
export const PROVED = { validate: 'weights', device: 'cpu', sync: false } as const;
export const context = testContext(1);

const root = mkdtempSync(path.join(tmpdir(), 'mlser-delta-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;
export function newFolder(): string {
  const folder = path.join(root, String(folders++));
  mkdirSync(folder);
  return folder;
}

/** Writes a model that is made in memory, in the format of the extension. */
export async function save(model: Model, file: string, options: WriteOptions = {}): Promise<string> {
  const format = FORMATS.find(({ extensions }) => extensions.includes(path.extname(file)));
  const writer = await format?.writer?.();
  if (!writer) throw new Error(file);
  const output = stageOutput(file, { force: true, sync: false });
  await writer.write(model, output, { ...context, options });
  await output.commit();
  return file;
}

export const create = (
  base: string,
  next: string,
  output: string,
  more: Partial<DeltaOptions> = {},
  work: WorkContext & OpenContext = context,
) => createDelta(base, next, output, { ...PROVED, ...more }, work);
export const apply = (
  base: string,
  deltas: readonly string[],
  output: string,
  work: WorkContext & OpenContext = context,
) => applyDeltas(base, deltas, output, { ...PROVED, force: true }, work);

/** The content id, from the bytes of all tensors. */
export const contentOf = (input: string, more: OpenContext = {}): Promise<string> =>
  withModel(input, more, async ({ model }) => (await hashModel(model, context)).content);

export const bytesOfTensor = (input: string, name: string, more: OpenContext = {}): Promise<Uint8Array> =>
  withModel(input, more, async ({ model }) => {
    const tensor = model.tensors.find(({ info }) => info.name === name);
    if (!tensor) throw new Error(`${input} lacks ${name}`);
    return readTensor(tensor);
  });

/** What a promise is refused with. */
export async function refusal(work: Promise<unknown>): Promise<MlserError> {
  const error: unknown = await work.then(
    () => new Error('it was not refused'),
    (reason: unknown) => reason,
  );
  if (isMlserError(error)) return error;
  throw error;
}

/** Bytes that repeat nowhere soon; as f32 they are finite numbers around 1. */
export function noise(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0, state = seed; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = i % 4 === 3 ? 0x3f : state >>> 24;
  }
  return bytes;
}

export const tensor = (
  name: string,
  dtype: DType,
  shape: readonly number[],
  bytes?: Uint8Array,
): TensorSource =>
  memoryTensor(
    { name, dtype, shape },
    bytes ?? noise(dtype === 'str' ? 16 : tensorBytes(dtype, shape), name.length + 1),
  );

export const modelOf = (tensors: readonly TensorSource[], more: Partial<Model> = {}): Model => ({
  format: 'memory',
  tensors,
  aliases: new Map(),
  metadata: new Map([['made_by', 'test']]),
  findings: [],
  ...more,
});

/** A copy with every `every`-th byte changed, from `first` on. */
export function nudged(bytes: Uint8Array, every: number, first = 0, by = 1): Uint8Array {
  const copy = Uint8Array.from(bytes);
  for (let at = first; at < copy.length; at += every) copy[at] = (copy[at] ?? 0) ^ by;
  return copy;
}
