import { basename, dirname } from 'node:path';
import type { WorkContext } from '../../core/format.js';
import { type Finding, finding, MlserError } from '../../errors.js';
import { outputPath } from '../../formats/open.js';
import { joinPath } from '../../io/disk.js';
import { checkTarget, resolveTarget } from '../../io/target.js';
import { openWorkFolder } from '../../io/work-folder.js';
import { WaitingRoom } from '../../kernels/ride-along.js';
import { hashModel } from '../hashes.js';
import { inputBytes, type OpenContext, type OpenedModel, withModel } from '../open.js';
import { type OutputFormat, outputFormat } from '../output.js';
import { withWholeTime } from '../whole-time.js';
import { finish } from './finish.js';
import { type Goal, type Job, titleOf } from './one-step.js';
import { planInOrder } from './plan.js';
import type { Recipe } from './recipe.js';
import type { PipelineReport, StepEntry } from './report.js';
import { type InOrder, stepsInOrder } from './steps-in-order.js';

export interface PipelineOptions {
  /** Replace an existing output. */
  readonly force?: boolean;
  /** Plan only: nothing is written. */
  readonly dryRun?: boolean;
  /** Wait until files are on the disk (default). */
  readonly sync?: boolean;
  /** Where finished steps are kept until all are done; default: a hidden folder beside the output. */
  readonly work?: string;
  /** They stay afterwards too. */
  readonly keepWork?: boolean;
  /** What an earlier run has finished is done again. */
  readonly fresh?: boolean;
}

/**
 * Does the steps of a recipe in order and proves each, then writes the output, with the recipe in its metadata, and proves
 * it next to the input. The first no ends it: nothing is written, and the report says which step. What was finished by then
 * stays in the work folder; the same recipe goes on from there.
 *
 * @throws E_USAGE for a recipe that names no input or output or asks for what cannot be known; what the steps throw, with
 * the step.
 * @example
 * await pipeline(await readRecipe('recipe.json'), {}, context)
 */
export const pipeline = (
  recipe: Recipe,
  options: PipelineOptions,
  context: WorkContext & OpenContext,
): Promise<PipelineReport> =>
  withWholeTime(async () => {
    const input = named(recipe, 'input');
    const target = named(recipe, 'output');
    const format = await outputFormat(target, recipe.to);
    const output = outputPath(target, format.descriptor);
    return withModel(input, context, async (original) => {
      refuseUnknowable(recipe, original, format);
      if (!options.dryRun)
        checkTarget(resolveTarget(output), output, {
          force: options.force ?? false,
          inputs: pathsOf(original),
        });
      const plan: Job = {
        ...{ recipe, original, context },
        sync: options.sync ?? true,
        goals: goalsOf(recipe, original, output, format),
      };
      const whole = { recipe, original, target, output, format };
      if (options.dryRun) return plannedReport(whole, await planInOrder(plan));
      const rides = new WaitingRoom(context);
      const job: Job = { ...plan, rides, context: { ...context, rides } };
      const work = openWorkFolder(options.work ?? besideOutput(target, output));
      let passed = false;
      try {
        if (options.fresh) work.clear();
        const content = contentOf(whole, rides, context);
        const report = await stepsInOrder(job, work, async (outcome) => {
          if (outcome.failed !== undefined) return failedReport(whole, outcome, outcome.failed);
          return finish(whole, outcome, content, options, context);
        });
        passed = report.validation.passed;
        const stays = passed ? options.keepWork : work.isOfUse();
        return stays ? { ...report, work: work.folder } : report;
      } finally {
        if (passed && !options.keepWork) work.remove();
        else work.release();
        rides.close();
      }
    });
  });

/** The content id of the input, which is found out where a step reads it. Called for it where none has. */
function contentOf(
  { original, format }: Whole,
  rides: WaitingRoom,
  context: WorkContext,
): () => Promise<string> {
  const { model } = original;
  // Streams are read when it has to be: they would be read beside the steps, not with them.
  const inFiles = model.tensors.every(({ recipe }) => recipe !== undefined);
  if (!inFiles || !format.descriptor.keeps.metadata)
    return async () => (await hashModel(model, context)).content;
  const hashing = hashModel(model, context, [], rides);
  hashing.catch(() => {}); // told where it is waited for
  return async () => {
    await rides.walk();
    return (await hashing).content;
  };
}

/** A hidden folder, beside the output or the folder that is made for it. */
function besideOutput(target: string, output: string): string {
  const made = /[\\/]$/.test(target) ? target : output;
  return joinPath(dirname(made), `.${basename(made)}.pipeline`);
}

/** The whole of a pipeline, beside its steps. */
export interface Whole {
  readonly recipe: Recipe;
  readonly original: OpenedModel;
  /** As the recipe has it, and the main file of it. */
  readonly target: string;
  readonly output: string;
  readonly format: OutputFormat;
}

function named(recipe: Recipe, what: 'input' | 'output'): string {
  const found = recipe[what];
  if (found !== undefined) return found;
  throw new MlserError('E_USAGE', `${recipe.file}: the recipe names no ${what}`, {
    details: { file: recipe.file },
    hint: `give it with --${what}, or write "${what}" into the recipe`,
  });
}

function refuseUnknowable(
  { gate, steps, file }: Recipe,
  { model }: OpenedModel,
  { descriptor }: OutputFormat,
): void {
  if (!steps.some(({ kind }) => kind.kind === 'writes'))
    throw new MlserError('E_USAGE', `${file}: no step changes the model`, {
      details: { file },
      hint: 'mlser validate and mlser checksum look at a model by themselves',
    });
  const { maxAccuracyDrop, labels, inputs, validate = 'run' } = gate;
  const known =
    labels !== undefined &&
    inputs !== undefined &&
    model.graph &&
    descriptor.keeps.graph &&
    validate === 'run';
  if (maxAccuracyDrop === undefined || known) return;
  throw new MlserError('E_USAGE', `${file}: /gate/maxAccuracyDrop: the accuracy would not be known`, {
    details: { file, at: '/gate/maxAccuracyDrop' },
    hint: 'it takes ONNX in and out, "inputs" and "labels" in the gate, and its level "run"',
  });
}

/** Between steps graphs are ONNX, weights without a graph native checkpoints, which hold all there is. */
function goalsOf(
  recipe: Recipe,
  { model }: OpenedModel,
  output: string,
  { descriptor }: OutputFormat,
): readonly Goal[] {
  const last = recipe.steps.findLastIndex(({ kind }) => kind.kind === 'writes');
  let graph = model.graph !== undefined;
  return recipe.steps.map(({ kind, values }, i) => {
    if (kind.kind === 'looks') return { main: '', format: '' };
    graph ||= kind.addsGraph?.(values) ?? false;
    if (i === last) return { main: basename(output), format: descriptor.id };
    return graph ? { main: 'model.onnx', format: 'onnx' } : { main: 'model.mlck', format: 'mlck' };
  });
}

const pathsOf = ({ files }: OpenedModel): string[] => files.opened().flatMap(({ path }) => path ?? []);

const reportOf = (
  { recipe, original, output, format }: Whole,
  steps: readonly StepEntry[],
): Omit<PipelineReport, 'bytesOut' | 'ratio' | 'validation' | 'findings'> => ({
  command: 'pipeline',
  recipe: { file: recipe.file, ...(recipe.name === undefined ? {} : { name: recipe.name }) },
  input: original.input,
  output,
  format: format.descriptor.id,
  bytesIn: inputBytes(original),
  files: [],
  tensors: [],
  steps,
  seconds: 0,
});

function plannedReport(whole: Whole, steps: readonly StepEntry[]): PipelineReport {
  const { gate } = whole.recipe;
  const made = steps.at(-1)?.bytesOut ?? 0;
  return {
    ...reportOf(whole, steps),
    dryRun: true,
    bytesOut: made,
    ratio: made === 0 ? 0 : inputBytes(whole.original) / made,
    files: made === 0 ? [] : [{ name: whole.output, bytes: made }],
    validation: { level: 'none', device: gate.device ?? 'cpu', passed: true },
    findings: [],
  };
}

function failedReport(whole: Whole, { entries }: InOrder, failed: number): PipelineReport {
  const { steps } = whole.recipe;
  const waiting = steps.slice(entries.length).map(
    (step, i): StepEntry => ({
      ...titleOf(entries.length + i, step),
      ...{ outcome: 'waiting', bytesIn: null, bytesOut: null, figures: {}, findings: [], seconds: 0 },
    }),
  );
  const entry = entries[failed];
  const level = whole.recipe.gate.validate ?? 'run';
  const validation = entry?.validation ?? { level, device: whole.recipe.gate.device ?? 'cpu', passed: false };
  return {
    ...reportOf(whole, [...entries, ...waiting]),
    ...{ bytesOut: 0, ratio: 0, failedStep: failed + 1 },
    validation: { ...validation, passed: false },
    findings: [stepFailed(entry, failed)],
  };
}

function stepFailed(entry: StepEntry | undefined, index: number): Finding {
  const why = entry?.findings.find(({ severity }) => severity === 'error')?.message ?? 'its gate said no';
  return finding(
    'error',
    'STEP_FAILED',
    `step ${index + 1}`,
    `step ${index + 1} (${entry?.do ?? ''}) did not pass: ${why}`,
  );
}
