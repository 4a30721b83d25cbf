import type { WorkContext } from '../../core/format.js';
import { type Finding, finding, MlserError } from '../../errors.js';
import { type SplittableWeight, type SplitWeight, splitProducts } from '../../graph/split-products.js';
import type { FactorJob } from '../../kernels/factor/factor-matrix.js';
import { factorAll } from '../../kernels/factor/parallel.js';
import { ScratchTensors } from '../../kernels/quantize/scratch-tensors.js';
import type { OpenedModel } from '../open.js';
import { outputFormat } from '../output.js';
import type { TensorAction } from '../reports.js';
import { writeModel } from '../write.js';
import { type Factored, factorable, jobOf, keep, needsGraph } from './factored.js';
import { misplaced } from './methods.js';
import type { PruneModelOptions } from './prune.js';
import type { PruneReport } from './report.js';

/** Splits the matrices of a graph, those of its convolutions too, in two where that saves, and proves the outcome as `pruneModel` does. */
export async function factorModel(
  opened: OpenedModel,
  output: string,
  options: PruneModelOptions,
  context: WorkContext,
  mostBytes?: number,
): Promise<PruneReport> {
  const { model } = opened;
  const target = (await outputFormat(output, options.to)).descriptor;
  if (!model.graph || !target.keeps.graph) throw needsGraph(opened.input, target.id);
  checkShares(options);
  const { weights, whole } = await factorable(model, options);
  context.progress.stage(
    'factor',
    weights.reduce((sum, { tensor }) => sum + tensor.byteLength, 0),
  );
  const scratch = new ScratchTensors();
  try {
    const { levels } = options;
    const jobFor = (weight: SplittableWeight): Promise<FactorJob> => {
      const energy = levels?.get(weight.tensor.info.name);
      return jobOf(weight, energy === undefined ? options : { energy });
    };
    const factored: Factored[] = [];
    for await (const done of factorAll(weights, jobFor, context)) {
      const weight = weights[factored.length];
      if (!weight) break;
      factored.push(await keep(weight, done, scratch, context));
      context.progress.advance(weight.tensor.byteLength);
    }
    const splits = new Map(
      factored.flatMap(({ split }) =>
        split ? [[split.weight.tensor.info.name, tensorsAt(split, scratch)] as const] : [],
      ),
    );
    const findings: Finding[] = [...misplaced(options)];
    if (splits.size === 0)
      findings.push(finding('warning', 'NOTHING_PRUNED', 'model', 'no weight gets smaller by being split'));
    const intended = splits.size === 0 ? model : await splitProducts(model, splits);
    const before = new Set(model.tensors.map(({ info }) => info.name));
    const made = intended.tensors.flatMap(({ info }) => (before.has(info.name) ? [] : [info.name]));
    const report = await writeModel(
      {
        command: 'prune',
        opened: [opened],
        reference: model,
        intended,
        rewritten: true,
        changed: new Set(made),
        ...(options.maxAccuracyDrop === undefined ? {} : { maxAccuracyDrop: options.maxAccuracyDrop }),
        ...(mostBytes === undefined ? {} : { mostBytes }),
        output,
        options,
        writeOptions: options.externalData === undefined ? {} : { externalData: options.externalData },
        findings,
      },
      context,
    );
    const { accuracy } = report.validation;
    const entries = [...factored, ...whole].map(({ entry }) => entry);
    const sum = (key: 'elements' | 'denseBytes' | 'storedBytes'): number =>
      entries.reduce((all, one) => all + (one[key] ?? 0), 0);
    const reason = splits.size > 0 ? undefined : entries.find((one) => one.reason !== undefined)?.reason;
    return {
      ...report,
      tensors: [...linesOf(factored), ...report.tensors.filter(({ name }) => before.has(name))],
      prune: {
        ...{ method: options.method, asked: null, sparsity: 0, zeros: 0, elements: sum('elements') },
        ...{ denseBytes: sum('denseBytes'), storedBytes: sum('storedBytes'), tensors: entries },
        ...(reason === undefined ? {} : { reason }),
      },
      ...(accuracy?.before === undefined ? {} : { accuracyDrop: accuracy.before - accuracy.after }),
    };
  } finally {
    scratch.release();
  }
}

function checkShares({ rank, energy }: PruneModelOptions): void {
  if (rank !== undefined && energy !== undefined)
    throw new MlserError('E_USAGE', '--rank and --energy both say how much is kept', {
      hint: 'give one of them',
    });
  if (energy === undefined || (energy > 0 && energy <= 1)) return;
  throw new MlserError('E_USAGE', `an energy of ${energy} is no share`, {
    details: { energy },
    hint: 'give the share of the sum of squares that is kept, up to 1: --energy 0.95',
  });
}

function tensorsAt({ left, right }: NonNullable<Factored['split']>, scratch: ScratchTensors): SplitWeight {
  return { left: scratch.tensor(left.info, left.at), right: scratch.tensor(right.info, right.at) };
}

/** A line for each weight that was split, under its old name. */
const linesOf = (factored: readonly Factored[]): TensorAction[] =>
  factored.flatMap(({ entry, split }) => {
    if (!split) return [];
    const { tensor } = split.weight;
    const { name, dtype, shape } = tensor.info;
    const sizes = { bytesIn: tensor.byteLength, bytesOut: entry.storedBytes ?? 0 };
    const line = { name, action: 'low-rank', dtypeIn: dtype, dtypeOut: dtype, shape, ...sizes };
    return [split.error ? { ...line, error: split.error } : line];
  });
