import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import type { Finding } from '../../errors.js';
import { fixOutputs, fixShapes, withoutOutputShapes } from '../../graph/fix-shapes.js';
import { convertOpset } from '../../graph/opset.js';
import type { Services } from '../../graph/optimize/pass.js';
import { parseCut } from '../../graph/parse-cut.js';
import { setIrVersion } from '../../graph/set-ir-version.js';
import { extractPart } from '../extract.js';
import type { OpenedModel } from '../open.js';
import { type SizeChoice, sizesOf } from './sizes.js';
import { withStaged } from './staged-model.js';

/** What is done to a graph around the passes. */
export interface StepChoice extends SizeChoice {
  /** `inputs:outputs`: only this part. */
  readonly extract?: string;
  /** Version of the standard operators. */
  readonly opset?: number;
  readonly irVersion?: number;
}

/**
 * Runs `work` on the part of a graph that was asked for, or all of it. A part becomes a file for that time, so that the
 * gate has something to run next to the outcome.
 */
export async function withPart<T>(
  opened: OpenedModel,
  { extract }: StepChoice,
  context: WorkContext,
  work: (part: OpenedModel) => Promise<T>,
): Promise<T> {
  if (extract === undefined) return work(opened);
  const { model, files } = opened;
  const part = await extractPart(model, files, parseCut(extract, model), context);
  return withStaged(opened, part, context, work);
}

/** The reference with sizes for its open dimensions, and the graph that passes begin with. */
export async function before(
  model: Model,
  choice: StepChoice,
): Promise<{ readonly reference: Model; readonly model: Model; readonly findings: readonly Finding[] }> {
  const sizes = sizesOf(choice);
  const reference = sizes ? fixShapes(model, sizes) : model;
  if (choice.opset === undefined) return { reference, model: reference, findings: [] };
  return { reference, ...(await convertOpset(reference, choice.opset)) };
}

/** Declared outputs follow fixed sizes; the IR version comes last, since passes may need a later one. */
export async function after(
  model: Model,
  choice: StepChoice,
  services: Services,
): Promise<{ readonly model: Model; readonly findings: readonly Finding[] }> {
  const fixed = sizesOf(choice) ? await withFixedOutputs(model, services) : model;
  return choice.irVersion === undefined
    ? { model: fixed, findings: [] }
    : setIrVersion(fixed, choice.irVersion);
}

async function withFixedOutputs(model: Model, services: Services): Promise<Model> {
  const names = model.graph?.outputs.map(({ name }) => name) ?? [];
  return fixOutputs(model, await services.describe(withoutOutputShapes(model), names));
}
