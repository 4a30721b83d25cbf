import { basename } from 'node:path';
import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import type { Rides } from '../../core/shared-work.js';
import { type Finding, MlserError } from '../../errors.js';
import { joinPath } from '../../io/disk.js';
import { accuracyLost } from '../../validate/gate.js';
import type { ValidationReport } from '../../validate/report.js';
import { bytesOf } from '../inspect.js';
import type { OpenContext, OpenedModel } from '../open.js';
import type { WriteReport } from '../reports.js';
import type { Changes, OutputOptions, WriteRequest } from '../write.js';
import { gateOf, type Recipe, type Step } from './recipe.js';
import { type Written, writtenBy } from './records.js';
import type { StepEntry } from './report.js';
import type { LookingStep, WritingStep } from './step-kind.js';

export interface Job {
  readonly recipe: Recipe;
  readonly original: OpenedModel;
  /** What a step writes, in order: the last of them what the output will be. '' where it writes nothing. */
  readonly goals: readonly Goal[];
  readonly sync: boolean;
  /** What is found out where a step reads the input. Absent in a dry run, in which nobody does. */
  readonly rides?: Rides;
  readonly context: WorkContext & OpenContext;
}

export interface Goal {
  readonly main: string;
  readonly format: string;
}

/** What there is so far. */
export interface Current {
  readonly opened: OpenedModel;
  readonly bytes: number | null;
  /** Steps whose outcome has no file: what they were made of, and what they changed. */
  readonly since?: { readonly reference: Model; readonly changes: Changes };
}

export interface StepOutcome {
  readonly entry: StepEntry;
  readonly written?: Written;
}

export interface PlannedStep {
  /** What there is then: a model whose tensors are computed when they are pulled. */
  readonly current: Current;
  /** Some of it is known only when they have been pulled. */
  readonly entry: Promise<StepEntry>;
}

/** A step that writes, into `folder`. */
export async function writeStep(
  job: Job,
  index: number,
  step: Step,
  kind: WritingStep,
  current: Current,
  folder: string,
  context: WorkContext & OpenContext,
): Promise<StepOutcome> {
  const started = performance.now();
  const goal = goalOf(job, index);
  let request: WriteRequest | undefined;
  const planned = (made: WriteRequest): void => {
    request = made;
  };
  const report = await runStep(job, index, step, kind, current, { folder, planned }, context);
  if (!request) throw new Error(`step ${index + 1} wrote nothing`);
  const findings = [
    ...report.findings,
    ...(report.validation.passed ? accuracyFindings(job, step, report.validation.accuracy) : []),
  ];
  const passed = report.validation.passed && !findings.some(({ severity }) => severity === 'error');
  const entry: StepEntry = {
    ...entryOf(index, step, kind, current, report),
    outcome: passed ? 'done' : 'failed',
    validation: { ...report.validation, passed },
    findings,
    seconds: secondsSince(started),
  };
  if (!passed) return { entry };
  const names = report.files.map(({ name }) => name);
  return { entry, written: writtenBy(request, folder, names, mainOf(report, goal)) };
}

/** A step that would write, as the model that it would: without a file. */
export async function planStep(
  job: Job,
  index: number,
  step: Step,
  kind: WritingStep,
  current: Current,
  context: WorkContext & OpenContext,
): Promise<PlannedStep> {
  const started = performance.now();
  let planned: (request: WriteRequest) => void = () => {};
  const request = new Promise<WriteRequest>((resolve) => {
    planned = resolve;
  });
  const running = runStep(job, index, step, kind, current, { planned }, context);
  const made = await Promise.race([request, running.then(() => undefined)]);
  if (!made) throw new Error(`step ${index + 1} planned nothing`);
  const { changes } = writtenBy(made, '', [], goalOf(job, index).main);
  const seconds = secondsSince(started);
  const entry = running.then(
    (report): StepEntry => ({
      ...entryOf(index, step, kind, current, report),
      ...{ outcome: 'composed', validation: report.validation, findings: report.findings, seconds },
    }),
  );
  entry.catch(() => {}); // told where it is waited for
  return {
    entry,
    current: {
      opened: { ...current.opened, input: `the outcome of step ${index + 1}`, model: made.intended },
      bytes: bytesOf(made.intended.tensors),
      since: { reference: current.since?.reference ?? current.opened.model, changes },
    },
  };
}

/** Runs the verb of a step: with a `folder` it writes there. */
function runStep(
  job: Job,
  index: number,
  step: Step,
  kind: WritingStep,
  current: Current,
  { folder, planned }: { readonly folder?: string; readonly planned: (request: WriteRequest) => void },
  context: WorkContext & OpenContext,
): Promise<WriteReport> {
  const goal = goalOf(job, index);
  const { since } = current;
  const options: OutputOptions = {
    ...gateFor(job, step, current.opened.model, goal),
    ...{ to: goal.format, force: true, sync: job.sync },
    ...(folder === undefined ? { dryRun: true } : {}),
    partOf: { ...(since ? { since } : {}), ...(job.rides ? { rides: job.rides } : {}), planned },
  };
  return kind.run(
    current.opened,
    joinPath(folder ?? '.', goal.main),
    options,
    intermediate(job, index, goal) ? { compress: false, ...step.values } : step.values,
    context,
  );
}

function goalOf({ goals }: Job, index: number): Goal {
  const goal = goals[index];
  if (!goal) throw new Error(`step ${index + 1} has no goal`);
  return goal;
}

const entryOf = (
  index: number,
  step: Step,
  kind: WritingStep,
  { bytes }: Current,
  report: WriteReport,
): Omit<StepEntry, 'outcome' | 'validation' | 'findings' | 'seconds'> => ({
  ...titleOf(index, step),
  ...{ bytesIn: bytes, bytesOut: report.bytesOut },
  figures: kind.figures?.(report) ?? {},
});

const secondsSince = (started: number): number => (performance.now() - started) / 1000;

/** mlck between two steps is not for keeps: packing it would only take time. */
const intermediate = (job: Job, index: number, { format }: Goal): boolean =>
  format === 'mlck' && index < job.recipe.steps.findLastIndex(({ kind }) => kind.kind === 'writes');

/** A step that says yes or no. */
export async function lookStep(
  job: Job,
  index: number,
  step: Step,
  kind: LookingStep,
  { opened, bytes }: Current,
  changes: Changes,
  context: WorkContext & OpenContext,
): Promise<StepOutcome> {
  const started = performance.now();
  const gate = gateFor(job, step, opened.model, undefined);
  const from = { original: job.original, changes };
  const looked = await kind.look(opened, from, gate, step.values, context);
  const { validation, figures = {} } = looked;
  const findings = [
    ...looked.findings,
    ...(looked.passed ? accuracyFindings(job, step, validation?.accuracy) : []),
  ];
  const passed = looked.passed && !findings.some(({ severity }) => severity === 'error');
  const entry: StepEntry = {
    ...titleOf(index, step),
    outcome: passed ? 'done' : 'failed',
    ...{ bytesIn: bytes, bytesOut: bytes, figures },
    ...(validation ? { validation: { ...validation, passed } } : {}),
    findings,
    seconds: secondsSince(started),
  };
  return { entry };
}

/** Data is for graphs; where it comes from the whole recipe, steps without one do without it. */
function gateFor({ recipe }: Job, step: Step, { graph }: Model, goal: Goal | undefined) {
  const { maxAccuracyDrop, ...gate } = gateOf(recipe, step);
  const runs = graph !== undefined && (goal === undefined || goal.format === 'onnx');
  const { inputs: _inputs, labels: _labels, ...rest } = gate;
  const shared = runs || step.gate.inputs !== undefined ? gate : { ...rest, ...step.gate };
  return { ...shared, ...(maxAccuracyDrop === undefined ? {} : { maxAccuracyDrop }) };
}

/** What a step may cost holds also for those verbs that have no such option. */
function accuracyFindings(
  { recipe }: Job,
  step: Step,
  accuracy: ValidationReport['accuracy'],
): readonly Finding[] {
  const { maxAccuracyDrop } = gateOf(recipe, step);
  if (maxAccuracyDrop === undefined) return [];
  const { before, after = 0 } = accuracy ?? {};
  if (before === undefined)
    throw new MlserError('E_USAGE', 'maxAccuracyDrop: the accuracy would not be known', {
      hint: 'it takes ONNX in and out, and a gate with "inputs" and "labels"',
    });
  return accuracyLost({ before, after }, maxAccuracyDrop);
}

export const titleOf = (index: number, { kind, name }: Step): Pick<StepEntry, 'step' | 'do' | 'name'> => ({
  step: index + 1,
  do: kind.id,
  ...(name === undefined ? {} : { name }),
});

/** Shards are found through their index. */
const mainOf = ({ files }: WriteReport, { main }: Goal): string =>
  files.map(({ name }) => name).find((name) => name === `${main}.index.json`) ?? basename(main);
