import type { WorkContext } from '../../core/format.js';
import { isMlserError, MlserError } from '../../errors.js';
import { joinPath } from '../../io/disk.js';
import type { WorkFolder } from '../../io/work-folder.js';
import { inputBytes, type OpenedModel, openModel } from '../open.js';
import { type Changes, mergedChanges } from '../write.js';
import { type Current, type Job, lookStep, planStep, type StepOutcome, writeStep } from './one-step.js';
import { gateOf, type Step } from './recipe.js';
import { finishedSteps, keysOf, type StepRecord, saveRecord, stepName, type Written } from './records.js';
import type { StepEntry } from './report.js';
import type { WritingStep } from './step-kind.js';

export interface InOrder {
  readonly entries: readonly StepEntry[];
  /** From 0; undefined: all passed. */
  readonly failed?: number;
  /** The outcome of the last step that wrote. */
  readonly last: OpenedModel;
  readonly written?: Written;
  /** What all steps changed. */
  readonly changes: Changes;
}

/**
 * Does the steps of a recipe, each with what the one before it gave. The outcome of a step lies in the work folder, proved,
 * or is not written at all where it can be computed when the next step pulls it. Those that an earlier run has finished
 * are not done again. `done` gets what came out, while the files are open.
 */
export async function stepsInOrder<T>(
  job: Job,
  work: WorkFolder,
  done: (outcome: InOrder) => Promise<T>,
): Promise<T> {
  const { recipe, original, context } = job;
  const keys = await keysOf(
    recipe,
    original,
    job.goals.map(({ main, format }) => `${format} ${main}`),
  );
  const finished = finishedSteps(work, keys);
  const open: OpenedModel[] = [];
  const entries: StepEntry[] = [];
  /** Steps without a file, with what becomes known of them when the next one pulls their tensors. */
  let pending: { readonly index: number; readonly step: Step; readonly entry: Promise<StepEntry> }[] = [];
  const settle = async (): Promise<void> => {
    if (pending.length === 0) return;
    await job.rides?.walk();
    for (const { index, step, entry } of pending) {
      const settled = await inStep(index, step, () => entry);
      entries.push(settled);
      saveRecord(work, index, { key: keys[index] ?? '', entry: settled });
    }
    pending = [];
  };
  let current: Current = { opened: original, bytes: inputBytes(original) };
  let changes: Changes = {};
  let written: Written | undefined;
  const takeUp = async (index: number, record: Written, bytes: number | null): Promise<void> => {
    const opened = await openModel(joinPath(joinPath(work.folder, stepName(index)), record.main), context);
    open.push(opened);
    current = { opened: { ...opened, input: `the outcome of step ${index + 1}` }, bytes };
    written = record;
  };
  // Steps without a file after the last that has one are planned again.
  const from = finished.findLastIndex((record) => record.written !== undefined) + 1;
  try {
    for (const [i, step] of recipe.steps.entries()) {
      const known = finished[i];
      if (known && (known.entry.outcome !== 'composed' || i < from)) {
        entries.push({ ...known.entry, outcome: known.entry.outcome === 'composed' ? 'composed' : 'kept' });
        if (known.written) changes = mergedChanges(changes, known.written.changes);
        if (known.written && i === from - 1) await takeUp(i, known.written, known.entry.bytesOut);
        continue;
      }
      const own = withProgress(context, i, job);
      if (composes(job, i, step)) {
        const planned = await inStep(i, step, () => planStep(job, i, step, step.kind, current, own));
        pending.push({ index: i, step, entry: planned.entry });
        current = planned.current;
        continue;
      }
      const outcome = await inStep(i, step, () =>
        step.kind.kind === 'looks'
          ? lookStep(job, i, step, step.kind, current, changes, own)
          : writeStep(job, i, step, step.kind, current, work.emptied(stepName(i)), own),
      );
      await settle();
      entries.push(outcome.entry);
      if (outcome.entry.outcome === 'failed') {
        work.forget(stepName(i));
        return await done({ entries, failed: i, last: current.opened, changes });
      }
      saveRecord(work, i, record(keys[i] ?? '', outcome));
      if (!outcome.written) continue;
      changes = mergedChanges(changes, outcome.written.changes);
      await takeUp(i, outcome.written, outcome.entry.bytesOut);
    }
    return await done({ entries, last: current.opened, changes, ...(written ? { written } : {}) });
  } finally {
    for (const opened of open) await opened.close();
  }
}

const record = (key: string, { entry, written }: StepOutcome): StepRecord => ({
  key,
  entry,
  ...(written ? { written } : {}),
});

/** A step that no gate has to look at, whose outcome the next one pulls. */
function composes({ recipe }: Job, index: number, step: Step): step is Step & { readonly kind: WritingStep } {
  const { kind } = step;
  const next = recipe.steps[index + 1];
  const gate = gateOf(recipe, step);
  return (
    kind.kind === 'writes' &&
    gate.validate === 'none' &&
    gate.maxAccuracyDrop === undefined &&
    next?.kind.kind === 'writes' &&
    next.kind.takesPlans?.(next.values, gateOf(recipe, next)) === true &&
    kind.composes?.(step.values) === true
  );
}

/** Errors say in which step they came up. */
export async function inStep<T>(index: number, { kind }: Step, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isMlserError(error) || error.code === 'E_INTERRUPTED') throw error;
    throw new MlserError(error.code, `step ${index + 1} (${kind.id}): ${error.message}`, {
      details: { step: index + 1, do: kind.id, ...error.details },
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      cause: error,
    });
  }
}

/** Stages of the work say which step they are of. */
export function withProgress<C extends WorkContext>(context: C, index: number, { recipe }: Job): C {
  const { progress } = context;
  const of = `${index + 1}/${recipe.steps.length} ${recipe.steps[index]?.kind.id ?? ''}`;
  return {
    ...context,
    progress: {
      stage: (title: string, bytes: number) => progress.stage(`${of}: ${title}`, bytes),
      advance: (bytes: number) => progress.advance(bytes),
    },
  };
}
