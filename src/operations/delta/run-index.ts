import { LIMITS } from '../../core/limits.js';
import { MlserError, malformed } from '../../errors.js';
import { diskFiles, isFolder, joinPath } from '../../io/disk.js';
import { stageOutput } from '../../io/staged.js';

/** The index of a run folder. */
export const RUN_INDEX = 'mlser-run.json';

/** A checkpoint of a run. */
export interface RunStep {
  /** `step-180`, or what the file was called. Unique. */
  readonly name: string;
  /** Step of the training, where it is known. */
  readonly step: number | null;
  /** Native checkpoint in the folder. */
  readonly file: string;
  /** Content id. */
  readonly content: string;
  /** Content id of the step it builds on; null: a keyframe, whole by itself. */
  readonly base: string | null;
  /** Deltas down to the keyframe. */
  readonly depth: number;
  readonly bytes: number;
  readonly tensorBytes: number;
}

export interface Run {
  readonly format: 'mlser-run';
  readonly version: 1;
  readonly steps: readonly RunStep[];
}

export const EMPTY_RUN: Run = { format: 'mlser-run', version: 1, steps: [] };

export async function isRunFolder(folder: string): Promise<boolean> {
  if (folder === '' || !isFolder(folder)) return false;
  const files = diskFiles(joinPath(folder, RUN_INDEX), folder);
  try {
    return await files.has(RUN_INDEX);
  } finally {
    await files.close();
  }
}

/** @throws E_MALFORMED, E_UNSUPPORTED (a newer version), E_LIMIT, E_NOT_FOUND. */
export async function readRun(folder: string): Promise<Run> {
  const file = joinPath(folder, RUN_INDEX);
  const text = await readIndex(file);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw malformed(`${file} is not JSON: ${(error as Error).message}`, { file });
  }
  return checkRun(parsed, file);
}

async function readIndex(file: string): Promise<string> {
  const files = diskFiles(file);
  try {
    const source = await files.open(RUN_INDEX);
    if (source.size > LIMITS.RUN_INDEX_BYTES)
      throw new MlserError('E_LIMIT', `${file} passes RUN_INDEX_BYTES`, {
        details: { file, limit: 'RUN_INDEX_BYTES', found: source.size, allowed: LIMITS.RUN_INDEX_BYTES },
        hint: 'start another run folder',
      });
    return Buffer.from(await source.read(0, source.size)).toString('utf8');
  } finally {
    await files.close();
  }
}

function checkRun(value: unknown, file: string): Run {
  const bad = (why: string): MlserError => malformed(`${file} ${why}`, { file });
  if (!isRecord(value) || value['format'] !== 'mlser-run') throw bad('is no index of a run folder');
  if (value['version'] !== 1)
    throw new MlserError(
      'E_UNSUPPORTED',
      `${file} has version ${String(value['version'])}; this mlser reads 1`,
      {
        details: { file },
        hint: 'use a newer mlser',
      },
    );
  const { steps } = value;
  if (!Array.isArray(steps) || steps.length > LIMITS.RUN_STEPS) throw bad('has no list of steps');
  const names = new Set<string>();
  const checked = steps.map((step: unknown, i): RunStep => {
    if (!isStep(step)) throw bad(`has a step ${i} that is none`);
    if (names.has(step.name)) throw bad(`names ${JSON.stringify(step.name)} twice`);
    names.add(step.name);
    return step;
  });
  return { format: 'mlser-run', version: 1, steps: checked };
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isId = (value: unknown): value is string => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

function isStep(value: unknown): value is RunStep {
  if (!isRecord(value)) return false;
  const { name, step, file, content, base, depth, bytes, tensorBytes } = value;
  return (
    typeof name === 'string' &&
    (step === null || isCount(step)) &&
    typeof file === 'string' &&
    /^[^/\\]+\.mlck$/.test(file) &&
    isId(content) &&
    (base === null || isId(base)) &&
    isCount(depth) &&
    isCount(bytes) &&
    isCount(tensorBytes)
  );
}

/** Replaces the index in one rename: at every moment the old or the new one is there, whole. */
export async function writeRun(folder: string, run: Run): Promise<void> {
  const output = stageOutput(joinPath(folder, RUN_INDEX), { force: true });
  try {
    const sink = await output.create(RUN_INDEX);
    await sink.append(Buffer.from(`${JSON.stringify(run, null, 1)}\n`));
    await output.commit();
  } catch (error) {
    await output.abort();
    throw error;
  }
}

/** A name for a file of a step that no file of the run has, nor any that is in the way. */
export function freshFile(name: string, { steps }: Run, isTaken: (file: string) => boolean): string {
  const taken = new Set(steps.map(({ file }) => file));
  for (let i = 0; ; i++) {
    const fresh = i === 0 ? `${name}.mlck` : `${name}.r${i}.mlck`;
    if (!taken.has(fresh) && !isTaken(fresh)) return fresh;
  }
}

/** By name, by number, `first` or `last`. */
export function findStep({ steps }: Run, wanted: string): RunStep | undefined {
  const named = steps.find(({ name }) => name === wanted);
  if (named) return named;
  if (wanted === 'last') return steps.at(-1);
  if (wanted === 'first') return steps[0];
  return /^\d+$/.test(wanted) ? steps.find(({ step }) => step === Number(wanted)) : undefined;
}
