import type { WorkContext } from '../../core/format.js';
import { type Model, tensorMap } from '../../core/model.js';
import { type Finding, finding, MlserError } from '../../errors.js';
import type {
  ActivationRanges,
  GraphScheme,
  Quantized,
  QuantizeSettings,
} from '../../graph/quantize/types.js';
import { compareTensors } from '../../kernels/compare.js';
import { type OpenContext, type OpenedModel, withModel } from '../open.js';
import { outputFormat } from '../output.js';
import type { QuantizeReport, TensorAction } from '../reports.js';
import { selects, type TensorSelection } from '../selection.js';
import { type OutputOptions, writeModel } from '../write.js';
import { SCHEMES, schemeById } from './schemes.js';

export type CalibrationMethod = 'minmax' | 'percentile' | 'entropy' | 'mse';

export interface QuantizeOptions extends OutputOptions, TensorSelection, Omit<QuantizeSettings, 'selects'> {
  readonly scheme: string;
  /** Path of an npz with samples of the graph's inputs. */
  readonly calibration?: string;
  readonly method?: CalibrationMethod;
  /** Tensors that stay as they are. */
  readonly keep?: readonly RegExp[];
  /** Largest relative error (RMSE ÷ RMS) that a tensor may have; others stay as they are. */
  readonly maxError?: number;
  /** The accuracy (with `labels`) may sink by so much; more fails the gate. */
  readonly maxAccuracyDrop?: number;
  readonly requantize?: boolean;
  readonly externalData?: boolean;
}

/** Quantizes a model and proves the outcome, with the error of every tensor and, with labels, the accuracy. */
export const quantizeModel = (
  input: string,
  output: string,
  options: QuantizeOptions,
  context: WorkContext & OpenContext,
): Promise<QuantizeReport> =>
  withModel(input, context, (opened) => quantizeOpened(opened, output, options, context));

async function quantizeOpened(
  opened: OpenedModel,
  output: string,
  options: QuantizeOptions,
  context: WorkContext,
): Promise<QuantizeReport> {
  const { model } = opened;
  refuseQuantized(model, options);
  const target = (await outputFormat(output, options.to)).descriptor;
  const source = target.keeps.graph ? model : withoutGraph(model);
  const settings: QuantizeSettings = {
    ...options,
    selects: (name) => selects(options, name) && !(options.keep ?? []).some((re) => re.test(name)),
  };
  const made = await apply(source, opened, options, settings, context);
  const errors = await errorsOf(source, made, context);
  const report = await writeModel(
    {
      command: 'quantize',
      opened: [opened],
      reference: source,
      intended: made.model,
      rewritten: true,
      quantized: true,
      ...(options.maxAccuracyDrop === undefined ? {} : { maxAccuracyDrop: options.maxAccuracyDrop }),
      output,
      options,
      writeOptions: options.externalData === undefined ? {} : { externalData: options.externalData },
      findings: [...made.findings, ...(made.quantized.length === 0 ? [nothingToDo(options.scheme)] : [])],
    },
    context,
  );
  const { accuracy } = report.validation;
  const drop = accuracy?.before === undefined ? undefined : accuracy.before - accuracy.after;
  return {
    ...report,
    scheme: options.scheme,
    tensors: actionsOf(report.tensors, source, made, errors),
    ...(drop === undefined ? {} : { accuracyDrop: drop }),
  };
}

function withoutGraph({ graph: _, ...model }: Model): Model {
  return model;
}

async function apply(
  source: Model,
  opened: OpenedModel,
  options: QuantizeOptions,
  settings: QuantizeSettings,
  context: WorkContext,
): Promise<Quantized> {
  const entry = schemeById(options.scheme);
  if (!entry)
    throw new MlserError('E_USAGE', `--scheme ${JSON.stringify(options.scheme)}: no such scheme`, {
      hint: `schemes: ${SCHEMES.map(({ id }) => id).join(', ')}`,
    });
  if (source.graph) {
    const scheme = await entry.graph?.();
    if (!scheme) throw notFor(options.scheme, 'an ONNX graph');
    return scheme.apply(
      source,
      settings,
      await rangesFor(scheme, source, opened, options, settings, context),
      context,
    );
  }
  const scheme = await entry.tensors?.();
  if (!scheme) throw notFor(options.scheme, 'weights without a graph');
  return scheme.apply(source, settings);
}

const notFor = (scheme: string, what: string): MlserError =>
  new MlserError('E_UNSUPPORTED', `--scheme ${scheme} is not for ${what}`, {
    details: { scheme },
    hint: `schemes: ${SCHEMES.map(({ id }) => id).join(', ')}`,
  });

async function rangesFor(
  scheme: GraphScheme,
  model: Model,
  opened: OpenedModel,
  options: QuantizeOptions,
  settings: QuantizeSettings,
  context: WorkContext,
): Promise<ActivationRanges | undefined> {
  if (!scheme.activations) return undefined;
  const names = await scheme.activations(model, settings);
  const { calibrate } = await import('./calibrate.js');
  return calibrate({ ...opened, model }, names, options, context);
}

/** Operators and types of models that are quantized already. */
const QUANTIZED_OPS =
  /^(com\.microsoft::)?(QLinear.*|MatMulInteger.*|ConvInteger|DequantizeLinear|QuantizeLinear|DynamicQuantize.*|MatMulNBits|QAttention|DynamicQuantizeLSTM)$/;

function refuseQuantized(model: Model, { requantize, scheme }: QuantizeOptions): void {
  if (requantize) return;
  const op = [...(model.graph?.ops.keys() ?? [])].find((name) => QUANTIZED_OPS.test(name));
  const mark = model.metadata.get('mlser.quantization');
  if (op === undefined && mark === undefined) return;
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
  const pairs = quantized.flatMap(({ name, dequantized }) => {
    const a = before.get(name);
    return a ? [{ name, a, b: dequantized }] : [];
  });
  const differences = await compareTensors(pairs, context);
  return new Map(
    pairs.flatMap(({ name }, i) => {
      const found = differences[i];
      if (!found) return [];
      const { maxAbs, maxRel, rmse, sqnrDb, cosine } = found;
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
