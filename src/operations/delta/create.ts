import type { CodecChoice, StoredTensor, WorkContext, WriteOptions } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { MlserError } from '../../errors.js';
import { isSameFile } from '../../io/disk.js';
import { resolveTarget } from '../../io/target.js';
import { BASED, CODEC_NAMES } from '../../kernels/codecs/numbers.js';
import { tensorBytesOf } from '../inspect.js';
import { type OpenContext, type OpenedModel, withModels } from '../open.js';
import type { TensorAction } from '../reports.js';
import { type OutputOptions, writeModel } from '../write.js';
import { refuseUnused } from './apply.js';
import type { LossyOptions } from './lossy-words.js';
import { hintOf, planDelta } from './plan.js';
import type { CodecTotals, DeltaCreateReport } from './report.js';

export interface DeltaOptions extends OutputOptions, LossyOptions {
  readonly codecs?: CodecChoice;
}

/** Writes `next` as differences to `base`, both in any format, into a native checkpoint. */
export const createDelta = (
  base: string,
  next: string,
  output: string,
  options: DeltaOptions,
  context: WorkContext & OpenContext,
): Promise<DeltaCreateReport> =>
  withModels([next, base], context, ([opened, from]) => {
    if (!opened || !from) throw new Error('two models are needed');
    return deltaBetween({ command: 'delta create', base: from, next: opened, output }, options, context);
  });

/** `deltas` on top of `base` become one delta to it. */
export const squashDeltas = (
  base: string,
  deltas: readonly string[],
  output: string,
  options: DeltaOptions,
  context: WorkContext & OpenContext,
): Promise<DeltaCreateReport> =>
  withModels([base], context, async ([from]) => {
    const last = deltas.at(-1);
    if (!from || last === undefined) throw new MlserError('E_USAGE', 'a delta is missing');
    const bases = [...deltas.slice(0, -1), base];
    return withModels([last], { ...context, bases }, async ([opened]) => {
      if (!opened) throw new Error('a model is missing');
      await refuseUnused(opened, base, deltas, context);
      return deltaBetween({ command: 'delta squash', base: from, next: opened, output }, options, context);
    });
  });

export interface DeltaRequest {
  readonly command: string;
  readonly base: OpenedModel;
  readonly next: OpenedModel;
  readonly output: string;
  /** Name of the base's file, where it is not that of the file that was opened. */
  readonly baseFile?: string;
}

/** The delta between two opened models. */
export async function deltaBetween(
  { command, base, next, output, baseFile = hintOf(base) }: DeltaRequest,
  options: DeltaOptions,
  context: WorkContext,
): Promise<DeltaCreateReport> {
  refuseOverBase(output, base);
  const plan = await planDelta(next.model, base.model, baseFile, options, context);
  const { delta } = plan;
  const { key } = context;
  const writeOptions: WriteOptions = {
    delta,
    ...(options.codecs ? { codecs: options.codecs } : {}),
    ...(key ? { key } : {}),
  };
  let stored: readonly StoredTensor[] = [];
  const intended = withoutGraph(plan.intended);
  const report = await writeModel(
    {
      command,
      opened: [next, base],
      reference: withoutGraph(next.model),
      intended,
      ...(plan.changed.size > 0 ? { changed: plan.changed } : {}),
      output,
      options: { ...options, to: 'mlck' },
      writeOptions,
      findings: plan.findings,
      stored: (tensors) => {
        stored = tensors;
      },
    },
    // Whoever reads what was staged finds the base here.
    { ...context, findBase: async () => base.model },
  );
  const tensorBytes = tensorBytesOf(intended);
  const content = await contentOf(output, report.validation.passed && !options.dryRun, context);
  return {
    ...report,
    ...(stored.length > 0 ? { tensors: actionsOf(report.tensors, stored) } : {}),
    base: { content: delta.content },
    target: { content },
    ...changesOf(stored),
    codecs: codecsOf(stored),
    depth: delta.info.depth,
    tensorBytes,
    ratio: report.bytesOut === 0 ? 0 : tensorBytes / report.bytesOut,
    ...(delta.info.lossy === undefined ? {} : { lossy: delta.info.lossy }),
  };
}

/** A delta in the place of its base would have none. */
function refuseOverBase(output: string, base: OpenedModel): void {
  const target = resolveTarget(output);
  const below = [base, ...base.bases].flatMap(({ files }) => files.opened());
  if (below.some(({ path }) => path !== undefined && isSameFile(path, target)))
    throw new MlserError('E_USAGE', `${output} is what the delta builds on`, {
      details: { output, base: base.input },
      hint: 'name another output',
    });
}

/** Checkpoints hold weights: a graph stays where it is. */
function withoutGraph({ graph: _, ...model }: Model): Model {
  return model;
}

/** The content id that a file was given when it was written. */
export async function contentOf(file: string, exists: boolean, context: WorkContext): Promise<string | null> {
  if (!exists) return null;
  const { key } = context;
  return withModels(
    [file],
    { ...(key ? { key } : {}), findBase: async () => undefined },
    async ([opened]) => {
      return opened?.model.recordedContent ?? null;
    },
  );
}

/** What became of each tensor, and what it takes. */
export function actionsOf(
  tensors: readonly TensorAction[],
  stored: readonly StoredTensor[],
): readonly TensorAction[] {
  const known = new Map(stored.map((tensor) => [tensor.name, tensor]));
  return tensors.map((tensor) => {
    const found = known.get(tensor.name);
    if (!found) return tensor;
    const names = [...found.codecs.keys()];
    const building = names.some((name) => BASED_NAMES.has(name));
    const action = found.kind === 'stored' ? (building ? 'delta' : 'store') : found.kind;
    const bytesOut = [...found.codecs.values()].reduce((sum, codec) => sum + codec.bytesOut, 0);
    return { ...tensor, action, bytesOut };
  });
}

const BASED_NAMES: ReadonlySet<string> = new Set([...BASED].map((id) => CODEC_NAMES.get(id) ?? ''));

export function changesOf(stored: readonly StoredTensor[]): {
  readonly changedTensors: number;
  readonly changedFraction: number;
} {
  const own = stored.filter(({ kind }) => kind !== 'alias');
  const total = own.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const changed = own.reduce((sum, tensor) => sum + tensor.changed, 0);
  return {
    changedTensors: own.filter(
      (tensor) => tensor.kind !== 'base' && tensor.byteLength > 0 && tensor.changed > 0,
    ).length,
    changedFraction: total === 0 ? 0 : changed / total,
  };
}

export function codecsOf(stored: readonly StoredTensor[]): Record<string, CodecTotals> {
  const totals = new Map<string, { tensors: number; bytesIn: number; bytesOut: number }>();
  const add = (name: string, bytesIn: number, bytesOut: number): void => {
    const sums = totals.get(name) ?? { tensors: 0, bytesIn: 0, bytesOut: 0 };
    sums.tensors++;
    sums.bytesIn += bytesIn;
    sums.bytesOut += bytesOut;
    totals.set(name, sums);
  };
  for (const { kind, byteLength, codecs } of stored) {
    if (kind !== 'stored') add(kind, byteLength, 0);
    for (const [name, { bytesIn, bytesOut }] of codecs) add(name, bytesIn, bytesOut);
  }
  return Object.fromEntries([...totals].sort(([a], [b]) => (a < b ? -1 : 1)));
}
