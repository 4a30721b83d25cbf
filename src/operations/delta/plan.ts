import type { DeltaBase, LossyTensor, WorkContext } from '../../core/format.js';
import { LIMITS } from '../../core/limits.js';
import type { DeltaInfo, Model } from '../../core/model.js';
import { type Finding, finding, MlserError } from '../../errors.js';
import { hashModel } from '../hashes.js';
import type { OpenedModel } from '../open.js';
import { lossyTensor } from './lossy.js';
import { describeLossy, type LossyOptions } from './lossy-words.js';
import { predictionsBetween } from './predictions.js';

/** The content id and the hashes of a base: as its file records them, or computed. */
export async function hashesOf(
  model: Model,
  context: WorkContext,
): Promise<{ readonly content: string; readonly hashes: ReadonlyMap<string, string> }> {
  const recorded = new Map<string, string>();
  for (const { info, recordedSha256 } of model.tensors)
    if (recordedSha256 !== undefined) recorded.set(info.name, recordedSha256);
  if (model.recordedContent !== undefined && recorded.size === model.tensors.length)
    return { content: model.recordedContent, hashes: recorded };
  const { tensors, content } = await hashModel(model, context);
  return { content, hashes: tensors };
}

/** What is written of `next` against `base`: the model (rounded, where that was asked for) and how. */
export interface DeltaPlan {
  readonly intended: Model;
  readonly delta: DeltaBase;
  /** Tensors whose values are not exactly those of `next`. */
  readonly changed: ReadonlySet<string>;
  readonly findings: readonly Finding[];
}

/** Plans a delta. `file`: name of the base's file, for who looks for it. */
export async function planDelta(
  next: Model,
  base: Model,
  file: string | undefined,
  options: LossyOptions,
  context: WorkContext,
): Promise<DeltaPlan> {
  const depth = (base.delta?.depth ?? 0) + 1;
  if (depth > LIMITS.DELTA_DEPTH)
    throw new MlserError('E_LIMIT', `more than ${LIMITS.DELTA_DEPTH} deltas on top of each other`, {
      details: { limit: 'DELTA_DEPTH', found: depth, allowed: LIMITS.DELTA_DEPTH },
      hint: 'fold the chain with mlser delta squash',
    });
  const { content, hashes } = await hashesOf(base, context);
  const byName = new Map(base.tensors.map((tensor) => [tensor.info.name, tensor]));
  const lossy = new Map<string, LossyTensor>();
  const changed = new Set<string>();
  const findings: Finding[] = [];
  const tensors = [];
  for (const tensor of next.tensors) {
    const rounded = await lossyTensor(tensor, byName.get(tensor.info.name), options, context);
    tensors.push(rounded.tensor);
    if (rounded.tensor !== tensor) changed.add(tensor.info.name);
    if (rounded.stored) lossy.set(tensor.info.name, rounded.stored);
    if (rounded.kept !== undefined)
      findings.push(finding('info', 'KEPT_EXACT', tensor.info.name, `stays exact: ${rounded.kept}`));
  }
  const words = describeLossy(options);
  const info: DeltaInfo = {
    base: content,
    depth,
    ...(file === undefined ? {} : { file }),
    ...(words === undefined ? {} : { lossy: words }),
  };
  // What is rounded is another model than the one that the optimizer made.
  const predictions = words === undefined ? await predictionsBetween(base, next) : new Map<string, never>();
  return {
    intended: words === undefined ? next : { ...next, tensors },
    delta: {
      ...{ model: base, content, hashes, info },
      ...(lossy.size > 0 ? { lossy } : {}),
      ...(predictions.size > 0 ? { predictions } : {}),
    },
    changed,
    findings,
  };
}

/** The name by which a base would be found beside the delta. */
export const hintOf = ({ files }: OpenedModel): string => files.main;
