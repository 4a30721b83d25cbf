import type { WorkContext } from '../../core/format.js';
import { LIMITS } from '../../core/limits.js';
import type { Model } from '../../core/model.js';
import { MlserError } from '../../errors.js';
import { isFile, isSameFile, joinPath, makeFolder, removeFile } from '../../io/disk.js';
import { type OpenContext, type OpenedModel, withModel, withModels } from '../open.js';
import { type DeltaOptions, deltaBetween } from './create.js';
import type { DeltaAddReport, DeltaCreateReport } from './report.js';
import { EMPTY_RUN, freshFile, isRunFolder, type Run, type RunStep, readRun, writeRun } from './run-index.js';
import { changingRun } from './run-lock.js';
import { settledRun } from './run-passing.js';
import { type WholeReport, writeWhole } from './whole.js';

export interface AddOptions extends DeltaOptions {
  /** A whole checkpoint at least this often. */
  readonly keyframeEvery?: number;
  /** Step of the training, where the checkpoint does not tell. */
  readonly step?: number;
  readonly name?: string;
}

/** Steps from one keyframe to the next, unless `keyframeEvery` says otherwise. */
export const KEYFRAME_EVERY = 20;
/** A delta that takes more than this share of the last keyframe gains nothing: a keyframe makes later reads shorter. */
const WORTH = 0.97;

/**
 * Adds a checkpoint to a run folder (made if it is not there): as a delta to the last step, or whole. The file is
 * proved and named before the index names it, so that the folder holds all earlier steps at every moment.
 */
export async function addToRun(
  checkpoint: string,
  folder: string,
  options: AddOptions,
  context: WorkContext & OpenContext,
): Promise<DeltaAddReport> {
  const unmake = makeFolder(folder, { parents: true });
  try {
    return await changingRun(folder, () =>
      withModel(checkpoint, context, (opened) => addOpened(opened, folder, options, context)),
    );
  } finally {
    unmake();
  }
}

async function addOpened(
  opened: OpenedModel,
  folder: string,
  options: AddOptions,
  context: WorkContext & OpenContext,
): Promise<DeltaAddReport> {
  const isRun = await isRunFolder(folder);
  const run = !isRun ? EMPTY_RUN : await (options.dryRun ? readRun(folder) : settledRun(folder));
  const { name, step } = identify(opened, run, folder, options);
  const file = freshFile(name, run, (wanted) => isForeign(joinPath(folder, wanted), opened, isRun));
  const output = joinPath(folder, file);
  const existing = run.steps.find((known) => known.name === name);
  if (existing) throw stepExists(folder, name);
  const writing: AddOptions = { ...options, force: true };
  const last = run.steps.at(-1);
  const keyframe = last === undefined || sinceKeyframe(run) >= mostDeltas(options);
  const added = async (report: DeltaCreateReport | WholeReport, whole: boolean): Promise<DeltaAddReport> => {
    const full: DeltaAddReport = {
      ...report,
      ...{ run: folder, name, step, keyframe: whole, base: whole ? null : report.base },
    };
    const { content } = report.target;
    if (content === null) return full;
    const entry: RunStep = {
      ...{ name, step, file, content, base: full.base?.content ?? null },
      ...{ depth: report.depth, bytes: report.bytesOut, tensorBytes: report.tensorBytes },
    };
    try {
      await writeRun(folder, { ...run, steps: [...run.steps, entry] });
    } catch (error) {
      removeFile(output); // nothing names it
      throw error;
    }
    return full;
  };
  const request = { command: 'delta add', next: opened, output };
  if (keyframe || !last) return added(await writeWhole(request, writing, context), true);
  return withModels([joinPath(folder, last.file)], runContext(context), async ([base]) => {
    if (!base) throw new Error('the last step is missing');
    const report = await deltaBetween({ ...request, base, baseFile: last.file }, writing, context);
    if (!report.validation.passed || options.dryRun || !gainsNothing(report, run))
      return added(report, false);
    return added(await writeWhole(request, writing, context), true);
  });
}

/** What stands where a step is to be written: what an interrupted run left may go, the user's own files may not. */
const isForeign = (file: string, { files }: OpenedModel, isRun: boolean): boolean =>
  isFile(file) &&
  (!isRun || files.opened().some((source) => source.path !== undefined && isSameFile(source.path, file)));

/** A chain that nobody could read is not made. */
const mostDeltas = ({ keyframeEvery = KEYFRAME_EVERY }: AddOptions): number =>
  Math.min(keyframeEvery, LIMITS.DELTA_DEPTH);

/** Bases of steps lie in the folder; paths that were given are for the checkpoint. */
const runContext = ({ bases: _, ...context }: WorkContext & OpenContext): WorkContext => context;

const stepExists = (folder: string, name: string): MlserError =>
  new MlserError('E_EXISTS', `${folder} has a step ${JSON.stringify(name)} already`, {
    details: { folder, step: name },
    hint: 'give the checkpoint another name with --name, or its step with --step',
  });

function sinceKeyframe({ steps }: Run): number {
  let count = 0;
  for (let i = steps.length - 1; i >= 0; i--) {
    count++;
    if (steps[i]?.base === null) break;
  }
  return count;
}

/** Measured: what the delta takes is nearly what the last keyframe took of its bytes. */
function gainsNothing(report: DeltaCreateReport, { steps }: Run): boolean {
  const last = steps.findLast(({ base }) => base === null);
  if (!last || last.tensorBytes === 0 || report.lossy !== undefined) return false;
  return report.bytesOut / report.tensorBytes > WORTH * (last.bytes / last.tensorBytes);
}

/** `step-180` where the step is known, else what the file is called. */
function identify(
  { model, files }: OpenedModel,
  run: Run,
  folder: string,
  options: AddOptions,
): { readonly name: string; readonly step: number | null } {
  const stem = files.main.replace(/\.(safetensors\.index\.json|bin\.index\.json|[a-z0-9]+)$/i, '');
  const told = options.step ?? stepOf(model) ?? stepInName(stem);
  const name = options.name ?? (told === undefined ? stem : `step-${told}`);
  if (!/^[\w][\w.+-]*$/.test(name))
    throw new MlserError('E_USAGE', `${JSON.stringify(name)} cannot be the name of a step`, {
      details: { name },
      hint: 'letters, digits, - _ . and + only: choose one with --name',
    });
  const before = run.steps.at(-1)?.step;
  if (
    told !== undefined &&
    before !== undefined &&
    before !== null &&
    told <= before &&
    options.name === undefined
  )
    if (run.steps.some((known) => known.step === told)) throw stepExists(folder, name);
  return { name, step: told ?? null };
}

/** What the training state says, or the metadata. */
function stepOf({ training, metadata }: Model): number | undefined {
  const told = [training?.step, metadata.get('step'), metadata.get('global_step')];
  const numbers = told.map((step) => (/^\d+$/.test(String(step)) ? Number(step) : Number.NaN)); // null is not step 0
  return numbers.find((step) => Number.isSafeInteger(step));
}

/** `step0180.bf16` is step 180, and so are `checkpoint-180` and `180`; `model2` is no step. */
function stepInName(stem: string): number | undefined {
  const digits = /step[-_. ]?(\d+)/i.exec(stem)?.[1] ?? /(?:^|[-_. ])(\d+)(?=[-_. ]|$)/.exec(stem)?.[1];
  const step = digits === undefined ? undefined : Number(digits);
  return step !== undefined && Number.isSafeInteger(step) ? step : undefined;
}
