import type { WorkContext } from '../../core/format.js';
import { MlserError } from '../../errors.js';
import { joinPath } from '../../io/disk.js';
import { type OpenContext, withModels } from '../open.js';
import { KEYFRAME_EVERY } from './add.js';
import { type DeltaOptions, deltaBetween } from './create.js';
import type { DeltaPruneReport } from './report.js';
import { freshFile, isRunFolder, type Run, type RunStep, readRun, writeRun } from './run-index.js';
import { changingRun } from './run-lock.js';
import { replaceRun, settledRun } from './run-passing.js';
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
 * holds the old run or the new one, and the next change of the run removes what is of no use to either.
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
  const run = await (options.dryRun ? readRun(folder) : settledRun(folder));
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
  const fresh = new Map(orphaned.map((step) => [step, freshFile(step.name, run, () => false)]));
  if (fresh.size > 0) await writeRun(folder, { ...run, passing: [...fresh.values()] });
  let after: RunStep[] = [];
  let thinned: Run;
  try {
    for (const step of kept) {
      const file = fresh.get(step);
      const next = file
        ? await rebased({ ...step, file }, step.file, after.at(-1), folder, options, context)
        : step;
      after = depths([...after, next]);
    }
    thinned = await replaceRun(folder, run, { ...run, steps: after });
  } catch (error) {
    await settledRun(folder).catch(() => undefined); // on a full disk the next change does it
    throw error;
  }
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

/** The step of `from` again in a file of its own, as a delta to the one that now comes before it, or whole. */
async function rebased(
  step: RunStep,
  from: string,
  last: RunStep | undefined,
  folder: string,
  options: DeltaOptions,
  context: WorkContext & OpenContext,
): Promise<RunStep> {
  const output = joinPath(folder, step.file);
  const before = last && last.depth + 1 < KEYFRAME_EVERY ? last : undefined; // chains do not grow longer
  const paths = [from, ...(before ? [before.file] : [])].map((file) => joinPath(folder, file));
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
    return { ...step, bytes, base: before?.content ?? null };
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
