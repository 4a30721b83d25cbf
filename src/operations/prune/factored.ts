import { elementCount } from '../../core/dtype.js';
import type { WorkContext } from '../../core/format.js';
import type { Model } from '../../core/model.js';
import { memoryTensor, readTensor, type TensorInfo } from '../../core/tensor.js';
import { MlserError } from '../../errors.js';
import { factorShapes, type SplittableWeight, splittableWeights } from '../../graph/split-products.js';
import { compareTensors } from '../../kernels/compare.js';
import type { FactorDone, FactorJob } from '../../kernels/factor/factor-matrix.js';
import { isPrunedType } from '../../kernels/prune/keys.js';
import type { ScratchTensors } from '../../kernels/quantize/scratch-tensors.js';
import type { TensorAction } from '../reports.js';
import { selects } from '../selection.js';
import { candidatesOf } from './choose.js';
import type { PruneModelOptions } from './prune.js';
import type { PrunedTensorEntry } from './report.js';

/** The shorter side of a matrix: the work grows with its third power (2048: about a minute). */
const MOST_SIDE = 2048;
export const ENERGY = 0.95;

/** What became of one weight. */
export interface Factored {
  readonly entry: PrunedTensorEntry;
  /** Of a weight that was split: where the factors lie. */
  readonly split?: {
    readonly weight: SplittableWeight;
    readonly left: Place;
    readonly right: Place;
    readonly error?: NonNullable<TensorAction['error']>;
  };
}

interface Place {
  readonly info: TensorInfo;
  readonly at: number;
}

export const needsGraph = (input: string, format?: string): MlserError =>
  new MlserError('E_UNSUPPORTED', 'low-rank splits nodes of a graph: both files have to be ONNX', {
    details: { input, ...(format === undefined ? {} : { format }) },
    hint: 'take another --method for weights without a graph',
  });

/** The weights that are factored, and those that were chosen too but stay whole. */
export async function factorable(
  model: Model,
  options: PruneModelOptions,
): Promise<{ readonly weights: readonly SplittableWeight[]; readonly whole: readonly Factored[] }> {
  const { weights, reasons } = await splittableWeights(model);
  const chosen = weights.filter((weight) => isChosen(weight, options));
  const split = new Set(weights.map(({ tensor }) => tensor.info.name));
  const others = candidatesOf(model, options).flatMap(({ tensor, names }): Factored[] => {
    if (names.some((name) => split.has(name))) return [];
    const reason = names.map((name) => reasons.get(name)).find((one) => one !== undefined);
    return [whole(tensor, reason ?? 'only constants of the main graph are split')];
  });
  const narrow = chosen.filter((weight) => shorterSide(weight) <= MOST_SIDE);
  const wide = chosen.filter((weight) => shorterSide(weight) > MOST_SIDE);
  const why = `matrices of more than ${MOST_SIDE} on the shorter side are not factored: it would take minutes`;
  return { weights: narrow, whole: [...wide.map(({ tensor }) => whole(tensor, why)), ...others] };
}

const shorterSide = ({ rows, columns }: SplittableWeight): number => Math.min(rows, columns);

const isChosen = ({ tensor: { info } }: SplittableWeight, options: PruneModelOptions): boolean =>
  isPrunedType(info.dtype) &&
  elementCount(info.shape, info.name) > 0 &&
  (options.only?.(info.name) ?? true) &&
  selects(options, info.name) &&
  !(options.keep ?? []).some((re) => re.test(info.name));

function whole(
  { info: { name, shape }, byteLength }: SplittableWeight['tensor'],
  reason: string,
  figures: Partial<PrunedTensorEntry> = {},
): Factored {
  const elements = elementCount(shape, name);
  const sizes = { denseBytes: byteLength, storedBytes: byteLength };
  return { entry: { ...{ name, sparsity: 0, zeros: 0, elements }, ...sizes, ...figures, reason } };
}

export async function jobOf(
  { tensor, rows, columns, turned }: SplittableWeight,
  { rank, energy = ENERGY }: Pick<PruneModelOptions, 'rank' | 'energy'>,
): Promise<FactorJob> {
  const matrix = { dtype: tensor.info.dtype, bytes: await readTensor(tensor), rows, columns, turned };
  return { ...matrix, energy, ...(rank === undefined ? {} : { rank }) };
}

/** The factors go to the scratch file. */
export async function keep(
  weight: SplittableWeight,
  { rank, energy, left, right, near }: FactorDone,
  scratch: ScratchTensors,
  context: WorkContext,
): Promise<Factored> {
  const { tensor, rows, columns } = weight;
  const { name, dtype, shape } = tensor.info;
  if (rank === undefined) return whole(tensor, 'it has NaN or infinite values');
  const figures = { rank, energy };
  if (!left || !right || !near) {
    const elements = rows * columns;
    const why = `two factors of rank ${rank} would have ${rank * (rows + columns)} elements, the matrix has ${elements}`;
    return whole(tensor, why, figures);
  }
  const shapes = factorShapes(weight, rank);
  const [difference] = await compareTensors(
    [{ a: tensor, b: memoryTensor({ name, dtype: 'f64', shape }, near) }],
    { ...context, progress: { stage() {}, advance() {} } },
  );
  return {
    entry: {
      ...{ name, sparsity: 0, zeros: 0, elements: rows * columns, denseBytes: tensor.byteLength },
      ...{ storedBytes: left.byteLength + right.byteLength, ...figures },
    },
    split: {
      weight,
      left: { info: { name, dtype, shape: shapes.left }, at: scratch.put(left) },
      right: { info: { name, dtype, shape: shapes.right }, at: scratch.put(right) },
      ...(difference ? { error: errorOf(difference) } : {}),
    },
  };
}

const errorOf = ({
  maxAbs,
  maxRel,
  rmse,
  sqnrDb,
  cosine,
}: NonNullable<TensorAction['error']>): NonNullable<TensorAction['error']> => ({
  ...{ maxAbs, maxRel, rmse, sqnrDb, cosine },
});
