import { dtypeFacts, elementCount } from '../../core/dtype.js';
import type { WorkContext } from '../../core/format.js';
import { memoryTensor, readTensor, type TensorInfo, type TensorSource } from '../../core/tensor.js';
import { type Finding, finding, MlserError } from '../../errors.js';
import {
  type SplittableWeight,
  type SplitWeight,
  splitProducts,
  splittableWeights,
} from '../../graph/split-products.js';
import { compareTensors } from '../../kernels/compare.js';
import { decodeElements, encodeElements } from '../../kernels/elements.js';
import {
  type Factors,
  factorsOf,
  product,
  rankForEnergy,
  spectrumOf,
  transposed,
} from '../../kernels/factor/truncated.js';
import { interrupted } from '../../kernels/messages.js';
import { isPrunedType } from '../../kernels/prune/keys.js';
import { ScratchTensors } from '../../kernels/quantize/scratch-tensors.js';
import type { OpenedModel } from '../open.js';
import { outputFormat } from '../output.js';
import type { PrunedTensorEntry, PruneReport, TensorAction } from '../reports.js';
import { selects } from '../selection.js';
import { writeModel } from '../write.js';
import { misplaced } from './methods.js';
import type { PruneModelOptions } from './prune.js';

/** The shorter side of a matrix: the work grows with its third power (2048: about a minute). */
const MOST_SIDE = 2048;
const ENERGY = 0.95;

/** What became of one matrix. */
interface Factored {
  readonly weight: SplittableWeight;
  readonly entry: PrunedTensorEntry;
  /** Where the factors lie; absent where it stays whole. */
  readonly places?: { readonly left: Place; readonly right: Place };
  readonly error?: NonNullable<TensorAction['error']>;
}

interface Place {
  readonly info: TensorInfo;
  readonly at: number;
}

/** Splits the matrices of a graph in two where that saves, and proves the outcome as `pruneModel` does. */
export async function factorModel(
  opened: OpenedModel,
  output: string,
  options: PruneModelOptions,
  context: WorkContext,
): Promise<PruneReport> {
  const { model } = opened;
  const target = (await outputFormat(output, options.to)).descriptor;
  if (!model.graph || !target.keeps.graph)
    throw new MlserError('E_UNSUPPORTED', 'low-rank splits nodes of a graph: both files have to be ONNX', {
      details: { input: opened.input, format: target.id },
      hint: 'take another --method for weights without a graph',
    });
  checkShares(options);
  const weights = (await splittableWeights(model)).filter((weight) => isChosen(weight, options));
  context.progress.stage(
    'factor',
    weights.reduce((sum, { tensor }) => sum + tensor.byteLength, 0),
  );
  const scratch = new ScratchTensors();
  try {
    const factored: Factored[] = [];
    for (const weight of weights) {
      if (context.signal?.aborted) throw interrupted();
      factored.push(await factor(weight, options, scratch, context));
      context.progress.advance(weight.tensor.byteLength);
    }
    const splits = new Map(
      factored.flatMap(({ weight, places }) =>
        places ? [[weight.tensor.info.name, tensorsAt(places, scratch)] as const] : [],
      ),
    );
    const findings: Finding[] = [...misplaced(options)];
    if (splits.size === 0)
      findings.push(finding('warning', 'NOTHING_PRUNED', 'model', 'no matrix gets smaller by being split'));
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
        output,
        options,
        writeOptions: options.externalData === undefined ? {} : { externalData: options.externalData },
        findings,
      },
      context,
    );
    const { accuracy } = report.validation;
    const entries = factored.map(({ entry }) => entry);
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

const isChosen = ({ tensor: { info } }: SplittableWeight, options: PruneModelOptions): boolean =>
  isPrunedType(info.dtype) &&
  elementCount(info.shape, info.name) > 0 &&
  (options.only?.(info.name) ?? true) &&
  selects(options, info.name) &&
  !(options.keep ?? []).some((re) => re.test(info.name));

async function factor(
  weight: SplittableWeight,
  { rank: wanted, energy = ENERGY }: PruneModelOptions,
  scratch: ScratchTensors,
  context: WorkContext,
): Promise<Factored> {
  const { tensor, rows, columns, turned } = weight;
  const { name, dtype } = tensor.info;
  const elements = rows * columns;
  const whole = (reason: string, more: Partial<PrunedTensorEntry> = {}): Factored => ({
    weight,
    entry: {
      ...{ name, sparsity: 0, zeros: 0, elements },
      ...{ denseBytes: tensor.byteLength, storedBytes: tensor.byteLength, reason, ...more },
    },
  });
  const side = Math.min(rows, columns);
  if (side > MOST_SIDE)
    return whole(
      `matrices of more than ${MOST_SIDE} on the shorter side are not factored: it would take minutes`,
    );
  const stored = new Float64Array(elements);
  decodeElements(dtype, await readTensor(tensor), elements, stored);
  if (!stored.every(Number.isFinite)) return whole('it has NaN or infinite values');
  const matrix = turned ? transposed(stored, columns, rows) : stored;
  const spectrum = spectrumOf(matrix, rows, columns);
  const rank = Math.min(side, wanted ?? rankForEnergy(spectrum, energy));
  const kept = rank * (rows + columns);
  const factors = factorsOf(matrix, rows, columns, spectrum, rank);
  const figures = { rank, energy: factors.energy };
  if (kept >= elements)
    return whole(
      `two factors of rank ${rank} would have ${kept} elements, the matrix has ${elements}`,
      figures,
    );
  const bytes = (values: Float64Array): Uint8Array => {
    const out = new Uint8Array((values.length * dtypeFacts(dtype).bits) / 8);
    encodeElements(dtype, values, values.length, out);
    return out;
  };
  const [left, right] = [bytes(factors.left), bytes(factors.right)];
  const error = await errorOf(weight, factors, left, right, context);
  const storedBytes = left.byteLength + right.byteLength;
  return {
    weight,
    entry: {
      ...{ name, sparsity: 0, zeros: 0, elements, denseBytes: tensor.byteLength, storedBytes, ...figures },
    },
    ...(error ? { error } : {}),
    places: {
      left: { info: { name, dtype, shape: [rows, rank] }, at: scratch.put(left) },
      right: { info: { name, dtype, shape: [rank, columns] }, at: scratch.put(right) },
    },
  };
}

/** Of the product of the rounded factors. */
async function errorOf(
  { tensor, rows, columns, turned }: SplittableWeight,
  { rank }: Factors,
  left: Uint8Array,
  right: Uint8Array,
  context: WorkContext,
): Promise<TensorAction['error']> {
  const { name, dtype, shape } = tensor.info;
  const numbers = (bytes: Uint8Array, count: number): Float64Array => {
    const out = new Float64Array(count);
    decodeElements(dtype, bytes, count, out);
    return out;
  };
  const back = product(numbers(left, rows * rank), rows, rank, numbers(right, rank * columns), columns);
  const asStored = turned ? transposed(back, rows, columns) : back;
  const bytes = new Uint8Array(asStored.buffer);
  const [difference] = await compareTensors(
    [{ a: tensor, b: memoryTensor({ name, dtype: 'f64', shape }, bytes) }],
    { ...context, progress: { stage() {}, advance() {} } },
  );
  if (!difference) return undefined;
  const { maxAbs, maxRel, rmse, sqnrDb, cosine } = difference;
  return { maxAbs, maxRel, rmse, sqnrDb, cosine };
}

function tensorsAt({ left, right }: NonNullable<Factored['places']>, scratch: ScratchTensors): SplitWeight {
  const at = (place: Place): TensorSource => scratch.tensor(place.info, place.at);
  return { left: at(left), right: at(right) };
}

/** A line for each matrix that was split, under its old name. */
const linesOf = (factored: readonly Factored[]): TensorAction[] =>
  factored.flatMap(({ weight: { tensor }, entry, places, error }) => {
    const { name, dtype, shape } = tensor.info;
    if (!places) return [];
    const sizes = { bytesIn: tensor.byteLength, bytesOut: entry.storedBytes ?? 0 };
    const line = { name, action: 'low-rank', dtypeIn: dtype, dtypeOut: dtype, shape, ...sizes };
    return [error ? { ...line, error } : line];
  });
