import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll } from 'vitest';
import { type DType, tensorBytes } from '../../src/core/dtype.js';

import type { Model } from '../../src/core/model.js';
import { memoryTensor } from '../../src/core/tensor.js';

import { stageOutput } from '../../src/io/staged.js';

import {
  type Dialect,
  type DialectOptions,
  dialectById,
  dialectOf,
} from '../../src/operations/delta/dialects/index.js';

import { hashModel } from '../../src/operations/hashes.js';
import { withModel } from '../../src/operations/open.js';
import { testContext } from './context.js';

const scratch = mkdtempSync(path.join(tmpdir(), 'mlser-dialects-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
export const context = testContext(1);
export const FIXTURES = path.resolve('fixtures/deltas');

let folders = 0;
export const newFolder = (): string => {
  const folder = path.join(scratch, String(folders++));
  mkdirSync(folder);
  return folder;
};

/** Bytes that repeat nowhere soon. */
export function noise(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0, state = seed; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

export type Form = readonly [name: string, dtype: DType, shape: readonly number[]];
export const FORMS: readonly Form[] = [
  ['model.embed', 'bf16', [700, 900]], // more than one chunk of a stream
  ['model.norm', 'f32', [33]],
  ['model.scale', 'f32', []],
  ['model.empty', 'bf16', [0, 4]],
  ['model.é\u{1f600}', 'f64', [3, 5]],
];

export function modelOf(
  forms: readonly Form[],
  edit: (name: string, bytes: Uint8Array) => void = () => {},
): Model {
  return {
    format: 'memory',
    tensors: forms.map(([name, dtype, shape], i) => {
      const bytes = noise(tensorBytes(dtype, shape), i + 1);
      edit(name, bytes);
      return memoryTensor({ name, dtype, shape }, bytes);
    }),
    aliases: new Map(),
    metadata: new Map([['made_by', 'test']]),
    findings: [],
  };
}

export const base = modelOf(FORMS);
export const CHANGES: Readonly<Record<string, Model>> = {
  nothing: modelOf(FORMS),
  few: modelOf(FORMS, (_, bytes) => {
    for (let at = 1; at < bytes.length; at += 7001) bytes[at] = (bytes[at] ?? 0) ^ 0x81;
  }),
  'the last byte': modelOf(FORMS, (_, bytes) => {
    if (bytes.length > 0) bytes[bytes.length - 1] = ~(bytes.at(-1) ?? 0);
  }),
  'one tensor': modelOf(FORMS, (name, bytes) => {
    if (name === 'model.scale') bytes.reverse();
  }),
  everything: modelOf(FORMS, (_, bytes) => {
    for (let at = 0; at < bytes.length; at++) bytes[at] = ~(bytes[at] ?? 0);
  }),
};

export async function write(
  dialect: Dialect,
  from: Model,
  to: Model,
  options: DialectOptions = {},
): Promise<{ folder: string; main: string; codes: string[] }> {
  const folder = newFolder();
  const files = stageOutput(path.join(folder, dialect.file), { force: false, sync: false });
  try {
    const findings = await dialect.write(from, to, files, { ...context, ...options });
    await files.commit();
    const main = path.join(folder, files.main);
    return { folder, main, codes: findings.map(({ code }) => code) };
  } catch (error) {
    await files.abort();
    throw error;
  }
}

/** What `use` sees of the model that a written delta makes of `from`. */
export const applied = <T>(from: Model, main: string, use: (result: Model) => Promise<T>): Promise<T> =>
  withModel(main, {}, async (opened) => {
    const dialect = await dialectOf(opened);
    if (!dialect) throw new Error(`${main} is in no dialect`);
    const result = await dialect.apply(from, opened, context);
    await dialect.verify?.(result, opened, context);
    return use(result);
  });
export const contentOf = async (model: Model): Promise<string> => (await hashModel(model, context)).content;
export const get = (name: string): Dialect => {
  const found = dialectById(name);
  if (!found) throw new Error(name);
  return found;
};
/** The code and the tensor of the error. */
export async function failure(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => 'no error',
    (reason: unknown) => reason,
  );
  const { code, details } = error as { code?: string; details?: { tensor?: string } };
  return code === undefined ? String(error) : [code, details?.tensor].filter(Boolean).join(' ');
}
