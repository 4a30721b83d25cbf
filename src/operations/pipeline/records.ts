import type { WriteOptions } from '../../core/format.js';
import { joinPath } from '../../io/disk.js';
import { sha256Hex } from '../../io/hashing.js';
import { formatJson, isJsonMap } from '../../io/json.js';
import type { JsonTree } from '../../io/json-reader.js';
import { packageVersion } from '../../io/version.js';
import { stampOf, type WorkFolder } from '../../io/work-folder.js';
import type { OpenedModel } from '../open.js';
import type { Changes, WriteRequest } from '../write.js';
import { gateOf, type Recipe } from './recipe.js';
import type { StepEntry } from './report.js';

/** What a finished step leaves for a later run. */
export interface StepRecord {
  /** Of the input, the recipe up to this step and all that it reads. */
  readonly key: string;
  readonly entry: StepEntry;
  /** Of a step that wrote: the main file in its folder, and how it was written. */
  readonly written?: Written;
}

export interface Written {
  readonly main: string;
  /** Its files as they were left: name and stamp. */
  readonly files: readonly (readonly [string, string])[];
  readonly changes: Changes;
  readonly writeOptions: WriteOptions;
}

/** Of the record's own layout. */
const LAYOUT = 1;

/**
 * A key for every step. It changes with the version of mlser, with the files of the input (size, time, inode: they are not
 * read for this), with every step up to this one, with the files that these read, and with the name and format of what is
 * written (`goals`).
 */
export async function keysOf(
  recipe: Recipe,
  original: OpenedModel,
  goals: readonly string[],
): Promise<readonly string[]> {
  let key = await digest(['mlser', packageVersion(), String(LAYOUT), ...inputStamps(original)]);
  const keys: string[] = [];
  for (const [i, step] of recipe.steps.entries()) {
    const gate = gateOf(recipe, step);
    const files = [...step.files, ...(gate.inputs === undefined ? [] : [gate.inputs])];
    key = await digest([
      key,
      formatJson(sorted(step.document)),
      JSON.stringify(Object.entries(gate).sort()),
      ...files.map(stampOf),
      goals[i] ?? '',
    ]);
    keys.push(key);
  }
  return keys;
}

/** A remote file may change unseen: nothing is kept of it from run to run. */
const inputStamps = (original: OpenedModel): string[] =>
  [original, ...original.bases].flatMap(({ files }) =>
    files
      .opened()
      .map(({ name, path }) => (path === undefined ? crypto.randomUUID() : `${name} ${stampOf(path)}`)),
  );

const digest = (parts: readonly string[]): Promise<string> => sha256Hex([Buffer.from(JSON.stringify(parts))]);

/** The order of keys is the writer's own affair. */
function sorted(tree: JsonTree): JsonTree {
  if (isJsonMap(tree))
    return new Map(
      [...tree].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => [key, sorted(value)]),
    );
  return Array.isArray(tree) ? tree.map(sorted) : tree;
}

export const stepName = (index: number): string => `step-${index + 1}`;

export const saveRecord = (work: WorkFolder, index: number, record: StepRecord): void =>
  work.record(`${stepName(index)}.json`, JSON.stringify(record, collections));

/** Those of the first steps that are still right, in order. */
export function finishedSteps(work: WorkFolder, keys: readonly string[]): readonly StepRecord[] {
  const found: StepRecord[] = [];
  for (const [i, key] of keys.entries()) {
    const record = loadRecord(work, i);
    if (record?.key !== key || !isWhole(work, i, record)) break;
    found.push(record);
  }
  // What is out of date would only take room.
  for (let i = found.length; i < keys.length; i++) {
    work.forget(`${stepName(i)}.json`);
    work.forget(stepName(i));
  }
  return found;
}

/** Somebody may have been at what was kept. */
function isWhole(work: WorkFolder, index: number, { written }: StepRecord): boolean {
  try {
    const folder = joinPath(work.folder, stepName(index));
    return (written?.files ?? []).every(([name, stamp]) => stampOf(joinPath(folder, name)) === stamp);
  } catch {
    return false;
  }
}

function loadRecord(work: WorkFolder, index: number): StepRecord | undefined {
  const bytes = work.recorded(`${stepName(index)}.json`);
  if (!bytes) return undefined;
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'), revived) as StepRecord;
  } catch {
    return undefined; // not ours, or damaged: the step is done again
  }
}

/** JSON has no sets and maps. */
const collections = (_: string, value: unknown): unknown =>
  value instanceof Set ? { $set: [...value] } : value instanceof Map ? { $map: [...value] } : value;

function revived(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if ('$set' in value) return new Set(value.$set as Iterable<unknown>);
  if ('$map' in value) return new Map(value.$map as Iterable<readonly [unknown, unknown]>);
  return value;
}

/** What is kept of a request: without the functions and models in it. */
export const writtenBy = (
  { changed, rewritten, quantized, writeOptions }: WriteRequest,
  folder: string,
  names: readonly string[],
  main: string,
): Written => ({
  main,
  files: names.map((name) => [name, stampOf(joinPath(folder, name))] as const),
  writeOptions,
  changes: {
    ...(changed ? { changed } : {}),
    ...(rewritten ? { rewritten } : {}),
    ...(quantized ? { quantized } : {}),
  },
});
