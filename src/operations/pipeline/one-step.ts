import { basename } from 'node:path';
import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { type Finding, MlserError } from '../../errors.js';
import { joinPath } from '../../io/disk.js';
import { accuracyLost } from '../../validate/gate.js';
import type { ValidationReport } from '../../validate/report.js';
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
  readonly composed?: Current;
}

/**
 * A step that writes: into `folder`, or with `plan` nowhere. Then its outcome is a model whose tensors are computed when
 * they are pulled.
 */
export async function writeStep(
  job: Job,
  index: number,
  step: Step,
  kind: WritingStep,
  current: Current,
  { folder, plan }: { readonly folder: string; readonly plan: boolean },
  context: WorkContext & OpenContext,
): Promise<StepOutcome> {
  const started = performance.now();
  const goal = job.goals[index];
  if (!goal) throw new Error(`step ${index + 1} has no goal`);
  let request: WriteRequest | undefined;
  const options: OutputOptions = {
    ...gateFor(job, step, current.opened.model, goal),
    to: goal.format,
    force: true,
    sync: job.sync,
    ...(plan ? { dryRun: true } : {}),
    partOf: {
      ...(current.since ? { since: current.since } : {}),
      planned: (made) => {
        request = made;
      },
    },
  };
  const report = await kind.run(
    current.opened,
    joinPath(folder, goal.main),
    options,
    intermediate(job, index, goal) ? { compress: false, ...step.values } : step.values,
    context,
  );
  if (!request) throw new Error(`step ${index + 1} wrote nothing`);
  const findings = [
    ...report.findings,
    ...(plan || !report.validation.passed ? [] : accuracyFindings(job, step, report.validation.accuracy)),
  ];
  const passed = report.validation.passed && !findings.some(({ severity }) => severity === 'error');
  const entry: StepEntry = {
    ...titleOf(index, step),
    outcome: plan ? 'composed' : passed ? 'done' : 'failed',
    bytesIn: current.bytes,
    bytesOut: report.bytesOut,
    figures: kind.figures?.(report) ?? {},
    validation: { ...report.validation, passed },
    findings,
    seconds: (performance.now() - started) / 1000,
  };
  if (!plan)
    return {
      entry,
      ...(passed
        ? {
            written: writtenBy(
              request,
              folder,
              report.files.map(({ name }) => name),
              mainOf(report, goal),
            ),
          }
        : {}),
    };
  const { changes } = writtenBy(request, folder, [], goal.main);
  const composed: Current = {
    opened: { ...current.opened, input: `the outcome of step ${index + 1}`, model: request.intended },
    bytes: report.bytesOut,
    since: { reference: current.since?.reference ?? current.opened.model, changes },
  };
  return { entry, composed };
}

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
    seconds: (performance.now() - started) / 1000,
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
