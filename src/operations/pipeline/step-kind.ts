import type { WorkContext } from '../../core/format.js';
import type { Finding } from '../../errors.js';
import type { ValidationReport } from '../../validate/report.js';
import type { OpenContext, OpenedModel } from '../open.js';
import type { WriteReport } from '../reports.js';
import type { Changes, OutputOptions } from '../write.js';
import type { Fields, ValuesOf } from './fields.js';

/** Numbers and words that say what a step did. The same for the same input: they are stored in the output. */
export type Figures = Readonly<Record<string, number | string>>;

interface KindOfStep<F extends Fields> {
  /** What `do` says. */
  readonly id: string;
  readonly title: string;
  readonly fields: F;
  readonly required?: readonly (keyof F & string)[];
  /** One of these has to be there. */
  readonly anyOf?: readonly (keyof F & string)[];
}

/** From a model to another one, which is written and proved. */
export interface WritingStep<F extends Fields = Fields> extends KindOfStep<F> {
  readonly kind: 'writes';
  run(
    opened: OpenedModel,
    output: string,
    options: OutputOptions,
    values: ValuesOf<F>,
    context: WorkContext & OpenContext,
  ): Promise<WriteReport>;
  figures?(report: WriteReport): Figures;
  /**
   * The plan of this step (a dry run) is all of its work: its tensors are computed when they are pulled, so that the
   * next step can take them without a file in between.
   */
  composes?(values: ValuesOf<F>): boolean;
  /** It pulls tensors as they come, so that it may be given such a plan. Others hand the files to the runtime. */
  takesPlans?(values: ValuesOf<F>, gate: { readonly maxAccuracyDrop?: number }): boolean;
  /** The outcome has a graph even if the input has none. */
  addsGraph?(values: ValuesOf<F>): boolean;
}

export interface LookResult {
  readonly passed: boolean;
  readonly findings: readonly Finding[];
  readonly validation?: ValidationReport;
  readonly figures?: Figures;
}

/** Looks at what there is so far, and says yes or no. */
export interface LookingStep<F extends Fields = Fields> extends KindOfStep<F> {
  readonly kind: 'looks';
  /** It runs the model: a gate may be given with it. */
  readonly gated: boolean;
  look(
    opened: OpenedModel,
    /** The input of the pipeline, and what steps have changed since. */
    from: { readonly original: OpenedModel; readonly changes: Changes },
    gate: Pick<OutputOptions, 'validate' | 'device' | 'inputs' | 'labels' | 'tolerance'>,
    values: ValuesOf<F>,
    context: WorkContext & OpenContext,
  ): Promise<LookResult>;
}

export type StepKind = WritingStep | LookingStep;

/** Kinds with fields of their own, as one of the registry, which reads exactly these fields before it runs them. */
export const writingStep = <F extends Fields>(step: WritingStep<F>): StepKind =>
  step as unknown as WritingStep;
export const lookingStep = <F extends Fields>(step: LookingStep<F>): StepKind =>
  step as unknown as LookingStep;
