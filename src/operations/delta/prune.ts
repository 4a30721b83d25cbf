import type { WorkContext } from '../../core/format.js';
import { MlserError } from '../../errors.js';
import { joinPath, removeFile } from '../../io/disk.js';
import { type OpenContext, withModels } from '../open.js';
import type { DeltaPruneReport } from '../reports.js';
import { KEYFRAME_EVERY } from './add.js';
import { type DeltaOptions, deltaBetween } from './create.js';
import { freshFile, isRunFolder, type Run, type RunStep, readRun, writeRun } from './run-index.js';
import { changingRun } from './run-lock.js';
import { writeWhole } from './whole.js';

export interface PruneOptions extends DeltaOptions {
  /** The last so many steps stay. */
  readonly keepLast?: number;
  /** Steps that are multiples of this stay (by their place in the run, where no step is known). */
  readonly keepEvery?: number;
}

/**
 * Thins a run folder. Steps that stay and build on one that goes are written again, against what stays, under new names;
 * then the index is replaced; then files that it no longer names are removed. Whenever it is interrupted, the folder
 * holds the old run or the new one.
 */
export async function pruneRun(
  folder: string,
  options: PruneOptions,
  context: WorkContext & OpenContext,
): Promise<DeltaPruneReport> {
  if (!(await isRunFolder(folder)))
    throw new MlserError('E_NOT_FOUND', `${folder} is no run folder`, {
      details: { folder },
      hint: 'a run folder is made by mlser delta add <checkpoint> --to <folder>',
    });
  if (options.keepLast === undefined && options.keepEvery === undefined)
    throw new MlserError('E_USAGE', 'nothing says which steps stay', {
      hint: 'give --keep-last N, --keep-every N or both',
    });
  return changingRun(folder, () => prune(folder, options, context));
}

async function prune(
  folder: string,
  options: PruneOptions,
  context: WorkContext & OpenContext,
): Promise<DeltaPruneReport> {
  const run = await readRun(folder);
  const { steps } = run;
  const stays = steps.map((step, i) => keeps(step, i, steps.length, options));
  const kept = steps.filter((_, i) => stays[i]);
  const dropped = steps.filter((_, i) => !stays[i]);
  if (kept.length === 0 && steps.length > 0)
    throw new MlserError('E_USAGE', `no step of ${folder} would stay`, {
      details: { folder, steps: steps.length },
      hint: 'give --keep-last N too',
    });
  const report = (after: Run, rewritten: readonly string[]): DeltaPruneReport => ({
    command: 'delta prune',
    path: folder,
    ...(options.dryRun ? { dryRun: true } : {}),
    kept: kept.map(({ name }) => name),
    dropped: dropped.map(({ name }) => name),
    rewritten,
    bytesIn: bytesOf(run),
    bytesOut: bytesOf(after),
    findings: [],
  });
  const orphaned = withoutBase(kept);
  if (options.dryRun)
    return report(
      { ...run, steps: kept },
      orphaned.map(({ name }) => name),
    );
  let after: RunStep[] = [];
  try {
    for (const step of kept) {
      const next = orphaned.includes(step)
        ? await rebased(step, after.at(-1), folder, run, options, context)
        : step;
      after = depths([...after, next]);
    }
    await writeRun(folder, { ...run, steps: after });
  } catch (error) {
    const before = new Set(steps.map(({ file }) => file));
    for (const { file } of after) if (!before.has(file)) removeFile(joinPath(folder, file));
    throw error;
  }
  const thinned = { ...run, steps: after };
  const named = new Set(after.map(({ file }) => file));
  for (const { file } of steps) if (!named.has(file)) removeFile(joinPath(folder, file));
  return report(
    thinned,
    orphaned.map(({ name }) => name),
  );
}

const bytesOf = ({ steps }: Run): number => steps.reduce((sum, { bytes }) => sum + bytes, 0);

function keeps(
  { step }: RunStep,
  index: number,
  count: number,
  { keepLast, keepEvery }: PruneOptions,
): boolean {
  if (keepLast !== undefined && index >= count - keepLast) return true;
  return keepEvery !== undefined && (step ?? index) % keepEvery === 0;
}

/** Steps whose base is none of those before them: the same content further on may build on this very step. */
function withoutBase(kept: readonly RunStep[]): RunStep[] {
  const before = new Set<string>();
  return kept.filter(({ base, content }) => {
    const lost = base !== null && !before.has(base);
    before.add(content);
    return lost;
  });
}

/** The step again, as a delta to the one that now comes before it, or whole. */
async function rebased(
  step: RunStep,
  last: RunStep | undefined,
  folder: string,
  run: Run,
  options: DeltaOptions,
  context: WorkContext & OpenContext,
): Promise<RunStep> {
  const file = freshFile(step.name, run, () => false);
  const output = joinPath(folder, file);
  const before = last && last.depth + 1 < KEYFRAME_EVERY ? last : undefined; // chains do not grow longer
  const paths = [step, ...(before ? [before] : [])].map((known) => joinPath(folder, known.file));
  return withModels(paths, context, async ([opened, base]) => {
    if (!opened) throw new Error('a step is missing');
    const request = { command: 'delta prune', next: opened, output };
    const writing = { ...options, force: true };
    const report =
      base && before
        ? await deltaBetween({ ...request, base, baseFile: before.file }, writing, context)
        : await writeWhole(request, writing, context);
    if (!report.validation.passed || report.target.content !== step.content)
      throw new MlserError('E_VALIDATION', `${step.name} could not be written again: nothing was changed`, {
        details: { step: step.name, output },
        hint: 'mlser delta verify tells which step is damaged',
      });
    const { bytesOut: bytes } = report;
    return { ...step, file, bytes, base: before?.content ?? null };
  });
}

/** Deltas down to the keyframe, counted again. */
function depths(steps: readonly RunStep[]): RunStep[] {
  const known = new Map<string, number>();
  return steps.map((step) => {
    const depth = step.base === null ? 0 : (known.get(step.base) ?? step.depth - 1) + 1;
    known.set(step.content, depth);
    return { ...step, depth };
  });
}
