import { isFloat } from '../../core/dtype.js';
import type { DataFiles, WorkContext, WriteOptions } from '../../core/format.js';
import { type Model, tensorMap } from '../../core/model.js';
import { alone } from '../../core/shared-work.js';
import { type TargetSize, targetBytes } from '../../core/size.js';
import { type Finding, finding, MlserError } from '../../errors.js';
import { withDenseInitializers } from '../../graph/dense-initializers.js';
import type { Quantized, QuantizeSettings } from '../../graph/quantize/types.js';
import { compareTensors } from '../../kernels/compare.js';
import { dequantize, isQuantized } from '../../transforms/dequantize.js';
import { recordsAsTensor } from '../../transforms/quantized-record.js';
import { graphDropped, withoutGraph } from '../drop-graph.js';
import { inputBytes, type OpenContext, type OpenedModel, withModel } from '../open.js';
import { outputFormat } from '../output.js';
import { sparseBytes } from '../prune/sparse-initializers.js';
import type { TensorAction } from '../reports.js';
import { selects, type TensorSelection } from '../selection.js';
import { withWholeTime } from '../whole-time.js';
import { type OutputOptions, writeModel } from '../write.js';
import { applyAll, assignmentsOf, type Override } from './assign.js';
import { rangesFor } from './ranges.js';
import { checkRefinement, feedsFor } from './refinements.js';
import type { QuantizeReport, SpeedReport } from './report.js';

export type CalibrationMethod = 'minmax' | 'percentile' | 'entropy' | 'mse';

export interface QuantizeOptions extends OutputOptions, TensorSelection, Omit<QuantizeSettings, 'selects'> {
  readonly scheme: string;
  /** Path of an npz with samples of the graph's inputs. */
  readonly calibration?: string;
  readonly method?: CalibrationMethod;
  /** Path of a file that keeps what calibration has seen, for the next run. */
  readonly calibrationCache?: string;
  /** Tensors that stay as they are. */
  readonly keep?: readonly RegExp[];
  /** Largest relative error (RMSE ÷ RMS) that a tensor may have; others stay as they are. */
  readonly maxError?: number;
  /** The accuracy (with `labels`) may sink by so much; more fails the gate. */
  readonly maxAccuracyDrop?: number;
  readonly requantize?: boolean;
  readonly externalData?: boolean;
  /** Names and sizes of the files with external data. */
  readonly dataFiles?: DataFiles;
  /** Weights with a scheme of their own; the first that matches decides. */
  readonly overrides?: readonly Override[];
  /** The file may have so many bytes: schemes are chosen weight by weight. */
  readonly targetSize?: TargetSize;
  /** Only these weights (trials of the solver). */
  readonly only?: (name: string) => boolean;
}

/** Quantizes a model and proves the outcome, with the error of every tensor and, with labels, the accuracy. */
export const quantizeModel = (
  input: string,
  output: string,
  asked: QuantizeOptions,
  context: WorkContext & OpenContext,
): Promise<QuantizeReport> =>
  withWholeTime(() =>
    withModel(input, context, (opened) => quantizeOpenedModel(opened, output, asked, context)),
  );

/** `quantizeModel`, of a model that is open already. */
export async function quantizeOpenedModel(
  opened: OpenedModel,
  output: string,
  asked: QuantizeOptions,
  context: WorkContext,
): Promise<QuantizeReport> {
  const options = withFeeds(asked);
  checkRefinement(options, opened);
  const { maxAccuracyDrop, labels } = options;
  if (options.targetSize !== undefined) {
    const targetSize = targetBytes(options.targetSize, inputBytes(opened));
    const { meetSize } = await import('./target-size.js');
    return meetSize(opened, output, { ...options, targetSize }, context);
  }
  if (maxAccuracyDrop !== undefined && labels !== undefined && opened.model.graph) {
    const { meetAccuracy } = await import('./target-accuracy.js');
    return meetAccuracy(opened, output, { ...options, maxAccuracyDrop }, context);
  }
  return quantizeOpened(opened, output, options, context);
}

/** Ranges were made for the calibration data: that is what outputs are compared on, where nothing else is given. */
export const withFeeds = (options: QuantizeOptions): QuantizeOptions =>
  options.inputs === undefined && options.calibration !== undefined
    ? { ...options, inputs: options.calibration }
    : options;

/** One quantization as the options say. `mostBytes`: a larger file is not put in place. */
export async function quantizeOpened(
  opened: OpenedModel,
  output: string,
  options: QuantizeOptions,
  context: WorkContext,
  mostBytes?: number,
): Promise<QuantizeReport> {
  refuseQuantized(opened.model, options);
  const target = (await outputFormat(output, options.to)).descriptor;
  const chosen = choosing(options);
  const model = isQuantized(opened.model) ? await dequantize(chosen).apply(opened.model) : opened.model;
  const source = target.keeps.graph ? model : withoutGraph(model);
  const dropped = model.graph && !target.keeps.graph ? [graphDropped(target)] : [];
  const { made, errors } = await quantizedOf(source, opened, options, context);
  const sparse = stillSparse(made);
  const report = await writeModel(
    {
      command: 'quantize',
      opened: [opened],
      reference: source,
      intended: target.keeps.metadata ? made.model : recordsAsTensor(made.model),
      rewritten: true,
      quantized: [...new Set(made.quantized.map(({ dtypeOut }) => dtypeOut))],
      ...(options.maxAccuracyDrop === undefined ? {} : { maxAccuracyDrop: options.maxAccuracyDrop }),
      ...(mostBytes === undefined ? {} : { mostBytes }),
      output,
      options,
      writeOptions: { ...writeOptionsOf(options), ...(sparse.size > 0 ? { sparse } : {}) },
      findings: [
        ...dropped,
        ...made.findings,
        ...(made.quantized.length === 0 ? [nothingToDo(options.scheme)] : []),
      ],
    },
    context,
  ).finally(() => made.release?.());
  const { accuracy, passed, level } = report.validation;
  const drop = accuracy?.before === undefined ? undefined : accuracy.before - accuracy.after;
  const placed = passed && !options.dryRun && report.bytesOut <= (mostBytes ?? Number.POSITIVE_INFINITY);
  const told = placed && level === 'run' && options.only === undefined && options.partOf === undefined;
  const speed =
    told && made.model.graph
      ? await alone(context.shared, () => speedOf(opened, report.output, options, context))
      : undefined;
  return {
    ...report,
    ...(speed ? { speed } : {}),
    scheme: options.scheme,
    tensors: actionsOf(report.tensors, source, made, errors),
    ...(drop === undefined ? {} : { accuracyDrop: drop }),
  };
}

export const writeOptionsOf = ({
  externalData,
  dataFiles,
}: Pick<QuantizeOptions, 'externalData' | 'dataFiles'>): WriteOptions => ({
  ...(externalData === undefined ? {} : { externalData }),
  ...(dataFiles === undefined ? {} : { dataFiles }),
});

async function speedOf(
  opened: OpenedModel,
  output: string,
  options: QuantizeOptions,
  context: WorkContext,
): Promise<SpeedReport | undefined> {
  const { explainSpeed } = await import('./speed.js');
  const { inputs, beside } = options;
  return explainSpeed(
    opened,
    output,
    {
      device: 'cpu',
      ...(inputs === undefined ? {} : { inputs }),
      ...(beside ? { runtime: beside.runtime } : {}),
    },
    context,
  );
}

interface Made extends Quantized {
  /** Weights that were sparse initializers, with so many values. */
  readonly sparse: ReadonlyMap<string, number>;
}

/** Those that are floats as before, and smaller so, stay sparse. */
function stillSparse({ model, sparse }: Made): ReadonlyMap<string, number> {
  const tensors = tensorMap(model);
  return new Map(
    [...sparse].filter(([name, count]) => {
      const tensor = tensors.get(name);
      return (
        tensor && isFloat(tensor.info.dtype) && sparseBytes(tensor.info.dtype, count) < tensor.byteLength
      );
    }),
  );
}

type Errors = ReadonlyMap<string, NonNullable<TensorAction['error']>>;

/** The quantized model and the error of its weights; those with too large an error stay as they are. */
async function quantizedOf(
  source: Model,
  opened: OpenedModel,
  options: QuantizeOptions,
  context: WorkContext,
): Promise<{ readonly made: Made; readonly errors: Errors }> {
  const made = await apply(source, opened, options, context);
  const errors = await errorsOf(source, made, context);
  const { maxError } = options;
  if (maxError === undefined) return { made, errors };
  const poor = new Set([...errors].flatMap(([name, error]) => (relative(error) > maxError ? [name] : [])));
  if (poor.size === 0) return { made, errors };
  const only = (name: string): boolean => !poor.has(name) && (options.only?.(name) ?? true);
  made.release?.();
  const again = await apply(source, opened, { ...options, only }, context);
  const kept = [...poor].map((name) =>
    finding('info', 'KEPT_IN_FLOAT', name, `its error would be above ${maxError}: it stays as it is`),
  );
  return { made: { ...again, findings: [...again.findings, ...kept] }, errors };
}

/** RMSE ÷ RMS of the weight. */
const relative = ({ sqnrDb, rmse }: NonNullable<TensorAction['error']>): number =>
  sqnrDb === null ? (rmse === 0 ? 0 : Number.POSITIVE_INFINITY) : 10 ** (-sqnrDb / 20);

/** Weights that the options allow to be quantized. */
const choosing =
  (options: QuantizeOptions) =>
  (name: string): boolean =>
    selects(options, name) &&
    !(options.keep ?? []).some((re) => re.test(name)) &&
    (options.only?.(name) ?? true);

async function apply(
  source: Model,
  opened: OpenedModel,
  options: QuantizeOptions,
  context: WorkContext,
): Promise<Made> {
  const settings: QuantizeSettings = {
    ...options,
    selects: choosing(options),
  };
  const seen: Finding[] = [];
  const dense = withDenseInitializers(source, settings.selects);
  const made = await applyAll(
    dense.model,
    assignmentsOf(options.scheme, settings, options.overrides ?? []),
    async (scheme, model, own) => {
      const calibration = await alone(context.shared, () =>
        rangesFor(scheme, model, opened, options, own, context),
      );
      seen.push(...(calibration?.findings ?? []));
      return calibration?.ranges;
    },
    context,
    await feedsFor(options, opened, context),
  );
  return { ...made, findings: [...seen, ...made.findings], sparse: dense.values };
}

/** Names of the weights that would be quantized. */
export async function quantizedNames(
  opened: OpenedModel,
  options: QuantizeOptions,
  context: WorkContext,
): Promise<readonly string[]> {
  const { quantized, release } = await apply(opened.model, opened, options, context);
  release?.();
  return quantized.map(({ name }) => name);
}

/** What each weight would become, and its relative error squared times its share of the bytes, without a run. */
export async function weightLosses(
  opened: OpenedModel,
  options: QuantizeOptions,
  context: WorkContext,
): Promise<
  readonly {
    readonly name: string;
    readonly bytesIn: number;
    readonly bytesOut: number;
    readonly error: number;
  }[]
> {
  const made = await apply(opened.model, opened, options, context);
  try {
    const errors = await errorsOf(opened.model, made, context);
    const sizes = new Map(opened.model.tensors.map(({ info, byteLength }) => [info.name, byteLength]));
    const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    return made.quantized.map(({ name, bytesOut }) => {
      const bytesIn = sizes.get(name) ?? 0;
      const found = errors.get(name);
      return { name, bytesIn, bytesOut, error: found ? (relative(found) ** 2 * bytesIn) / total : 0 };
    });
  } finally {
    made.release?.();
  }
}

/** Operators and types of models that are quantized already. */
const QUANTIZED_OPS =
  /^(com\.microsoft::)?(QLinear.*|MatMulInteger.*|ConvInteger|DequantizeLinear|QuantizeLinear|DynamicQuantize.*|MatMulNBits|MatMulBnb4|QAttention|DynamicQuantizeLSTM)$/;

/** @throws E_UNSUPPORTED. */
export function refuseQuantized(
  model: Model,
  { requantize, scheme }: Pick<QuantizeOptions, 'requantize' | 'scheme'>,
): void {
  if (requantize) return;
  const op = [...(model.graph?.ops.keys() ?? [])].find((name) => QUANTIZED_OPS.test(name));
  if (op === undefined && !isQuantized(model)) return;
  throw new MlserError(
    'E_UNSUPPORTED',
    `the model is quantized already (${op === undefined ? 'its metadata says so' : `it has ${op} nodes`})`,
    {
      details: { scheme },
      hint: 'quantize the original, or accept rounding twice with --requantize',
    },
  );
}

const nothingToDo = (scheme: string): Finding =>
  finding('warning', 'NOTHING_QUANTIZED', 'model', `no weight could be quantized with ${scheme}`);

/** What rounding did to each weight, by its old name. */
async function errorsOf(
  source: Model,
  { quantized }: Quantized,
  context: WorkContext,
): Promise<ReadonlyMap<string, NonNullable<TensorAction['error']>>> {
  const before = tensorMap(source);
  const pairs = quantized.flatMap(({ name, dequantized, loss }) => {
    const a = before.get(name);
    return a && !loss ? [{ name, a, b: dequantized }] : [];
  });
  const differences = await compareTensors(pairs, context);
  const found = new Map(pairs.map(({ name }, i) => [name, differences[i]]));
  return new Map(
    quantized.flatMap(({ name, loss = found.get(name) }) => {
      if (!loss) return [];
      const { maxAbs, maxRel, rmse, sqnrDb, cosine } = loss;
      return [[name, { maxAbs, maxRel, rmse, sqnrDb, cosine }] as const];
    }),
  );
}

/** A line for each tensor of the source, and for those that are new. */
function actionsOf(
  written: readonly TensorAction[],
  source: Model,
  { quantized }: Quantized,
  errors: ReadonlyMap<string, NonNullable<TensorAction['error']>>,
): readonly TensorAction[] {
  const known = new Map(quantized.map((tensor) => [tensor.name, tensor]));
  const before = tensorMap(source);
  const lines = quantized.flatMap(({ name, scheme, dtypeOut, bytesOut }): TensorAction[] => {
    const tensor = before.get(name);
    if (!tensor) return [];
    const { dtype, shape } = tensor.info;
    const error = errors.get(name);
    return [
      {
        ...{ name, action: scheme, dtypeIn: dtype, dtypeOut, shape, bytesIn: tensor.byteLength, bytesOut },
        ...(error ? { error } : {}),
      },
    ];
  });
  return [...lines, ...written.filter(({ name }) => before.has(name) && !known.has(name))];
}
