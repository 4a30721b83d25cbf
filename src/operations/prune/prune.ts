import { elementCount } from '../../core/dtype.js';
import type { StoredTensor, WorkContext, WriteOptions } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { type TargetSize, targetBytes } from '../../core/size.js';
import type { TensorSource } from '../../core/tensor.js';
import { type Finding, finding, MlserError } from '../../errors.js';
import { withDenseInitializers } from '../../graph/dense-initializers.js';
import { WaitingRoom } from '../../kernels/ride-along.js';
import { graphDropped, withoutGraph } from '../drop-graph.js';
import { ignoredOptions } from '../ignored-options.js';
import { inputBytes, type OpenContext, type OpenedModel, withModel } from '../open.js';
import { outputFormat } from '../output.js';
import { withWholeTime } from '../whole-time.js';
import { type OutputOptions, writeModel } from '../write.js';
import { type Candidate, candidatesOf, type PruneSelection } from './choose.js';
import { askedSparsity, type MethodOptions, misplaced, prunedTensors, putsZeros } from './methods.js';
import type { PrunedTensorEntry, PruneReport } from './report.js';
import { sparseInitializers, takesSparse } from './sparse-initializers.js';
import { type StoredSize, storedSizes } from './stored-sizes.js';

export interface PruneModelOptions extends OutputOptions, PruneSelection, MethodOptions {
  /**
   * The accuracy (with `labels`) may sink by so much: if it would sink further, the most sensitive weights are spared,
   * as few as suffice.
   */
  readonly maxAccuracyDrop?: number;
  /** magnitude, low-rank: the file may have so many bytes; how much goes is chosen weight by weight. */
  readonly targetSize?: TargetSize;
  /** mlck (default) and npz: store what is left, not the zeros. */
  readonly compress?: boolean;
  /** ONNX: weights in a file beside the graph. */
  readonly externalData?: boolean;
}

/**
 * Puts zeros in the place of the weights that matter least and proves the outcome: what was not pruned stays bit for bit,
 * the report has the error and the share of zeros of every tensor, what it takes in the file and, where that is no less,
 * why, and with labels the accuracy before and after. Weights are read, never held: memory does not grow with the model.
 *
 * @throws E_USAGE for a share, threshold or pattern that makes no sense, or an accuracy that cannot be known; what `openModel` and `writeModel` throw.
 * @example
 * await pruneModel('model.onnx', 'sparse.mlck', { method: 'magnitude', sparsity: 0.5, validate: 'run', device: 'cpu' }, context)
 */
export const pruneModel = (
  input: string,
  output: string,
  options: PruneModelOptions,
  context: WorkContext & OpenContext,
): Promise<PruneReport> =>
  withWholeTime(() =>
    withModel(input, context, (opened) => pruneOpenedModel(opened, output, options, context)),
  );

/** `pruneModel`, of a model that is open already. */
export async function pruneOpenedModel(
  opened: OpenedModel,
  output: string,
  options: PruneModelOptions,
  context: WorkContext,
): Promise<PruneReport> {
  const { maxAccuracyDrop, labels } = options;
  const targetSize = options.targetSize && targetBytes(options.targetSize, inputBytes(opened));
  if (targetSize !== undefined && (options.method === 'channels' || options.method === 'layers')) {
    const { meetShare } = await import('./target-share.js');
    return meetShare(opened, output, { ...options, targetSize }, context, pruneOpened);
  }
  if (targetSize !== undefined) {
    const { meetSize } = await import('./target-size.js');
    return meetSize(opened, output, { ...options, targetSize }, context, pruneOpened);
  }
  if (maxAccuracyDrop === undefined) return pruneOpened(opened, output, options, context);
  const { keeps } = (await outputFormat(output, options.to)).descriptor;
  if (labels === undefined || !opened.model.graph || !keeps.graph) throw unknownAccuracy(opened.input);
  const { meetAccuracy } = await import('./target-accuracy.js');
  return meetAccuracy(opened, output, { ...options, maxAccuracyDrop }, context, pruneOpened);
}

/** One pruning as the options say. `mostBytes`: a larger file is not put in place. */
export async function pruneOpened(
  opened: OpenedModel,
  output: string,
  options: PruneModelOptions,
  context: WorkContext,
  mostBytes?: number,
): Promise<PruneReport> {
  if (options.method === 'channels') {
    const { pruneChannels } = await import('./channels/channels.js');
    return pruneChannels(opened, output, options, context, mostBytes);
  }
  if (options.method === 'layers') {
    const { pruneLayers } = await import('./layers/layers.js');
    return pruneLayers(opened, output, options, context, mostBytes);
  }
  if (!putsZeros(options)) {
    const { factorModel } = await import('./low-rank.js');
    return factorModel(opened, output, options, context, mostBytes);
  }
  const target = (await outputFormat(output, options.to)).descriptor;
  const asked = askedSparsity(options);
  const findings: Finding[] = [...misplaced(options)];
  findings.push(...ignoredOptions(writingOptions(options, options.compress), target));
  const candidates = candidatesOf(opened.model, options);
  if (candidates.length === 0)
    findings.push(finding('warning', 'NOTHING_PRUNED', 'model', 'no weight was chosen'));
  if (opened.model.graph && !target.keeps.graph) findings.push(graphDropped(target));
  const source = target.keeps.graph ? opened.model : withoutGraph(opened.model);
  context.progress.stage(
    'select',
    candidates.reduce((sum, { tensor }) => sum + tensor.byteLength, 0),
  );
  const pruned = await prunedTensors(candidates, options, context);
  const names = new Set(candidates.flatMap((candidate) => candidate.names));
  // Which of them are sparse is decided anew.
  const { model: dense } = withDenseInitializers(source, (name) => names.has(name));
  const intended = withPruned(dense, candidates, pruned.tensors);
  const compress = options.compress ?? target.id === 'mlck';
  const external = options.externalData === true;
  const mayBeSparse = takesSparse(intended, target, external);
  // What the output holds may depend on them; else nobody waits for them before somebody has read the weights.
  const rides =
    mayBeSparse && !options.dryRun ? undefined : (options.partOf?.rides ?? new WaitingRoom(context));
  const counting = pruned.zeros(rides);
  counting.catch(() => {}); // told where it is waited for
  if (!rides) await counting;
  const sparseOf = async (): Promise<ReadonlyMap<string, number>> =>
    mayBeSparse ? sparseInitializers(intended, candidates, await counting) : new Map();
  const sparse = options.dryRun ? new Map() : await sparseOf();
  let told: readonly StoredTensor[] = [];
  const report = await writeModel(
    {
      command: 'prune',
      opened: [opened],
      reference: source,
      intended,
      changed: names,
      actions: new Map([...names].map((name) => [name, 'prune'])),
      ...(options.maxAccuracyDrop === undefined ? {} : { maxAccuracyDrop: options.maxAccuracyDrop }),
      ...(mostBytes === undefined ? {} : { mostBytes }),
      output,
      options,
      writeOptions: { ...writingOptions(options, compress), ...(sparse.size > 0 ? { sparse } : {}) },
      findings,
      stored: (tensors) => {
        told = tensors;
      },
    },
    rides ? { ...context, rides } : context,
  );
  // The plan of a step is read by the next one.
  if (!options.dryRun || !options.partOf?.rides) await rides?.walk();
  const zeros = await counting;
  const sizes = storedSizes(
    candidates.map(({ tensor }, i) => ({ tensor, zeros: zeros[i] ?? 0 })),
    { target, compress, told, external, sparse: await sparseOf() },
  );
  const entries = candidates.map((candidate, i) => entry(candidate, zeros[i] ?? 0, sizes, options));
  const { accuracy } = report.validation;
  return {
    ...report,
    prune: {
      method: options.method,
      ...(options.method === 'magnitude'
        ? { scope: options.levels ? 'tensor' : (options.scope ?? 'global') }
        : {}),
      asked,
      ...totals(entries),
    },
    ...(accuracy?.before === undefined ? {} : { accuracyDrop: accuracy.before - accuracy.after }),
  };
}

const writingOptions = (
  { externalData }: PruneModelOptions,
  compress: boolean | undefined,
): WriteOptions => ({
  ...(compress === undefined ? {} : { compress }),
  ...(externalData === undefined ? {} : { externalData }),
});

const unknownAccuracy = (input: string): MlserError =>
  new MlserError('E_USAGE', '--max-accuracy-drop: the accuracy would not be known', {
    details: { input },
    hint: 'it takes an ONNX input and output, and --inputs test.npz --labels y',
  });

/** Tied tensors stay tied: all names get the same zeros. */
function withPruned(model: Model, candidates: readonly Candidate[], pruned: readonly TensorSource[]): Model {
  const next = new Map(candidates.flatMap(({ names }, i) => names.map((name) => [name, pruned[i]] as const)));
  return {
    ...model,
    tensors: model.tensors.map((tensor) => {
      const made = next.get(tensor.info.name);
      return made ? { ...made, info: tensor.info } : tensor;
    }),
  };
}

function entry(
  { tensor: { info, byteLength }, sums }: Candidate,
  zeros: number,
  sizes: ReadonlyMap<string, StoredSize>,
  { method }: MethodOptions,
): PrunedTensorEntry {
  const elements = elementCount(info.shape, info.name);
  const { bytes, reason } = sizes.get(info.name) ?? {};
  return {
    ...{ name: info.name, sparsity: share(zeros, elements), zeros, elements },
    ...{ denseBytes: byteLength, storedBytes: bytes ?? null },
    ...(method === 'n:m' ? { axis: sums.title } : {}),
    ...(reason === undefined ? {} : { reason }),
  };
}

function totals(
  tensors: readonly PrunedTensorEntry[],
): Pick<
  PruneReport['prune'],
  'sparsity' | 'zeros' | 'elements' | 'denseBytes' | 'storedBytes' | 'reason' | 'tensors'
> {
  const sum = (key: 'zeros' | 'elements' | 'denseBytes'): number =>
    tensors.reduce((all, one) => all + one[key], 0);
  const stored = tensors.map(({ storedBytes }) => storedBytes);
  const [zeros, elements] = [sum('zeros'), sum('elements')];
  const denseBytes = sum('denseBytes');
  const storedBytes = stored.includes(null)
    ? null
    : stored.reduce((all: number, bytes) => all + (bytes ?? 0), 0);
  const reason = tensors.find((one) => one.reason !== undefined)?.reason;
  return {
    ...{ sparsity: share(zeros, elements), zeros, elements, denseBytes, storedBytes },
    ...(reason === undefined || storedBytes === null || storedBytes < denseBytes ? {} : { reason }),
    tensors,
  };
}

const share = (part: number, all: number): number => (all === 0 ? 0 : part / all);
