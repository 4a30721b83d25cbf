import { type DType, dtypeFacts, isFloat } from '../core/dtype.js';
import type { FormatDescriptor, WorkContext, WriteOptions } from '../core/format.js';
import { type MetadataValue, type Model, tensorMap } from '../core/model.js';
import type { TensorSource } from '../core/tensor.js';
import { type Finding, MlserError } from '../errors.js';
import { formatById } from '../formats/index.js';
import { outputPath } from '../formats/open.js';
import type { OutputFiles } from '../io/files.js';
import { cast } from '../transforms/cast.js';
import { dequantize, isQuantized } from '../transforms/dequantize.js';
import { metadata } from '../transforms/metadata.js';
import { recordsAsTensor, recordsFollow } from '../transforms/quantized-record.js';
import { parseSubstitution, rename } from '../transforms/rename.js';
import { select } from '../transforms/select.js';
import { graphDropped, withoutGraph } from './drop-graph.js';
import { ignoredOptions } from './ignored-options.js';
import { type OpenedModel, withModels } from './open.js';
import { outputFormat, weightsName } from './output.js';
import type { WriteReport } from './reports.js';
import { isSelecting, refuseEmptySelection, selects, type TensorSelection } from './selection.js';
import { type OutputOptions, writeModel } from './write.js';

export interface ConvertOptions extends OutputOptions, TensorSelection {
  /** Convert tensors to this type: the selected ones, or every floating-point one. */
  readonly dtype?: DType;
  /** Bytes a shard may hold. */
  readonly shardSize?: number;
  /** ONNX: weights in a file beside the graph (true), inline (false), or as needed (undefined). */
  readonly externalData?: boolean;
  /** ONNX: the weights go into this safetensors file, beside the graph. */
  readonly weightsFile?: string;
  /** Path of an ONNX graph that takes these weights. */
  readonly graph?: string;
  /** ONNX: version of the standard operators that the graph is converted to. */
  readonly opset?: number;
  /** Substitutions as sed writes them, applied in order. */
  readonly rename?: readonly string[];
  readonly prefix?: string;
  readonly metadata?: ReadonlyMap<string, MetadataValue>;
  /** npz, mlck: store compressed. */
  readonly compress?: boolean;
  /** mlck: encrypt with the key of the context. */
  readonly encrypt?: boolean;
  /** Allow conversions that lose more than rounding, and widen types that the output cannot hold. */
  readonly allowLossy?: boolean;
}

/**
 * Format to format, type to type, sharding, new weights into an existing graph.
 * Without `dtype`, `include`/`exclude` choose the tensors that are written; with it, those that are converted.
 */
export const convertModel = (
  input: string,
  output: string,
  options: ConvertOptions,
  context: WorkContext,
): Promise<WriteReport> =>
  withModels(options.graph === undefined ? [input] : [input, options.graph], context, ([main, base]) => {
    if (!main) throw new Error('no input was opened');
    return convertOpened(main, base, output, options, context);
  });

/** `convertModel`, of models that are open already: the weights and, with `graph`, the graph that takes them. */
export async function convertOpened(
  main: OpenedModel,
  base: OpenedModel | undefined,
  output: string,
  options: ConvertOptions,
  context: WorkContext,
): Promise<WriteReport> {
  const findings: Finding[] = [];
  const target = (await outputFormat(output, options.to)).descriptor;
  const free = base || (!target.keeps.graph && changesNames(options));
  if (free && !base && main.model.graph) findings.push(graphDropped(target));
  const plain = await plainNumbers(main.model, options);
  const read = await chooseAndRename(free ? withoutGraph(plain) : plain, options);
  // Types depend on what the operators know.
  const chosen = base ? read : await inOpset(read, options, target, findings);
  const beside = weightsName(options.weightsFile, outputPath(output, target));
  findings.push(...ignoredOptions(options, target));
  const cast =
    target.keeps.graph && chosen.graph && options.dtype !== undefined
      ? await storeInGraph(chosen, options.dtype, options, findings, context)
      : await convertTypes(
          chosen,
          options,
          { storable: target.dtypes, ofGraph: main.model.graph !== undefined },
          findings,
          context,
        );
  const typed = base ? await intoGraph(base, cast, findings) : cast;
  const reference = base ? beforeCast(typed, cast, chosen) : read;
  const labelled = options.metadata ? metadata({ set: options.metadata }).apply(typed) : typed;
  const held = target.keeps.metadata ? labelled : recordsAsTensor(labelled);
  const intended = base ? await inOpset(held, options, target, findings) : held;
  const [older, newer] = base ? [held, intended] : [read, chosen];
  return writeModel(
    {
      command: 'convert',
      opened: base ? [main, base] : [main],
      reference,
      intended,
      output,
      options,
      writeOptions: { ...writeOptions(options, beside), ...encryption(options, target, context) },
      findings,
      ...(newer === older ? {} : { rewritten: true, actions: addedTensors(older, newer) }),
      ...(beside === undefined || !target.keeps.graph ? {} : { before: weightsBeside(intended, beside) }),
    },
    context,
  );
}

/** Tensors that `quantize` stored as integers are floats again, where another type is asked for. */
async function plainNumbers(model: Model, { dtype }: ConvertOptions): Promise<Model> {
  if (dtype === undefined || !isFloat(dtype) || !isQuantized(model)) return model;
  return dequantize().apply(model);
}

function encryption(
  { encrypt }: ConvertOptions,
  target: FormatDescriptor,
  { key }: WorkContext,
): Pick<WriteOptions, 'key'> {
  if (!encrypt) return {};
  if (target.id !== 'mlck')
    throw new MlserError('E_USAGE', `--encrypt: ${target.title} cannot be encrypted`, {
      details: { format: target.id },
      hint: 'write a native checkpoint (.mlck)',
    });
  if (key) return { key };
  throw new MlserError('E_USAGE', '--encrypt: a key is missing', {
    hint: 'name a file with --key-file, or set MLSER_KEY: openssl rand -hex 32 > key',
  });
}

const writeOptions = (options: ConvertOptions, weightsFile: string | undefined): WriteOptions => ({
  ...(options.shardSize === undefined ? {} : { shardSize: options.shardSize }),
  ...(options.externalData === undefined ? {} : { externalData: options.externalData }),
  ...(weightsFile === undefined ? {} : { weightsFile }),
  ...(options.compress === undefined ? {} : { compress: options.compress }),
});

/** Nodes refer to tensors by name: where names change, the graph is let go before, if it has no place anyway. */
const changesNames = (options: ConvertOptions): boolean =>
  (options.dtype === undefined && isSelecting(options)) ||
  options.prefix !== undefined ||
  (options.rename?.length ?? 0) > 0;

async function chooseAndRename(model: Model, options: ConvertOptions): Promise<Model> {
  refuseEmptySelection(model, options);
  const filters = options.dtype === undefined && isSelecting(options);
  const chosen = filters ? select({ keep: (name) => selects(options, name) }).apply(model) : model;
  const steps = (options.rename ?? []).map(parseSubstitution);
  if (options.prefix !== undefined) steps.push((name) => `${options.prefix}${name}`);
  const newName = (name: string): string => steps.reduce((current, step) => step(current), name);
  const made = steps.length === 0 ? chosen : rename({ rename: newName }).apply(chosen);
  return made === model || !isQuantized(model) ? made : recordsFollow(model, made, newName);
}

async function intoGraph(base: OpenedModel, weights: Model, findings: Finding[]): Promise<Model> {
  const { rebind } = await import('../graph/rebind.js');
  const bound = rebind(base.model, weights);
  findings.push(...bound.findings);
  return bound.model;
}

/** Constants that a step made. */
function addedTensors(before: Model, after: Model): Map<string, string> {
  const known = tensorMap(before);
  const added = after.tensors.filter(({ info }) => !known.has(info.name));
  return new Map(added.map(({ info }) => [info.name, 'add']));
}

async function inOpset(
  model: Model,
  { opset }: ConvertOptions,
  target: FormatDescriptor,
  findings: Finding[],
): Promise<Model> {
  if (opset === undefined) return model;
  if (!target.keeps.graph)
    throw new MlserError('E_USAGE', `--opset ${opset}: ${target.title} holds no graph`, {
      details: { format: target.id, opset },
      hint: 'write an .onnx file, or leave --opset out',
    });
  const { convertOpset } = await import('../graph/opset.js');
  const converted = await convertOpset(model, opset);
  findings.push(...converted.findings);
  return converted.model;
}

/** What a cast model was made of: the weights alone, so that nothing is run against them. */
function beforeCast({ graph: _, ...bound }: Model, cast: Model, chosen: Model): Model {
  const origin = tensorMap(chosen);
  const casts = new Set(cast.tensors);
  return {
    ...bound,
    tensors: bound.tensors.map((tensor) =>
      casts.has(tensor) ? (origin.get(tensor.info.name) ?? tensor) : tensor,
    ),
  };
}

async function convertTypes(
  model: Model,
  options: ConvertOptions,
  { storable, ofGraph }: { readonly storable: ReadonlySet<DType>; readonly ofGraph: boolean },
  findings: Finding[],
  context: WorkContext,
): Promise<Model> {
  const { dtype } = options;
  let typed = model;
  if (dtype !== undefined) {
    const selected = isSelecting(options)
      ? (tensor: TensorSource): boolean => selects(options, tensor.info.name)
      : (tensor: TensorSource): boolean =>
          isFloat(tensor.info.dtype) || dtypeFacts(tensor.info.dtype).block > 1;
    if (!options.allowLossy) refuseLossy(model, dtype, selected);
    const kept = ofGraph
      ? await masksPast(dtype, model.tensors.filter(selected), findings, context)
      : new Set<TensorSource>();
    typed = cast({ dtype, select: (tensor) => selected(tensor) && !kept.has(tensor) }).apply(model);
  }
  if (options.allowLossy) {
    // What the output cannot hold is widened: every float type fits into f32 or f64 without loss.
    const wide = (tensor: TensorSource): boolean =>
      isFloat(tensor.info.dtype) && !storable.has(tensor.info.dtype) && storable.has('f32');
    for (const tensor of typed.tensors.filter(wide))
      findings.push({
        code: 'WIDENED',
        severity: 'warning',
        subject: tensor.info.name,
        message: `${tensor.info.dtype} is stored as f32: the output format has no ${tensor.info.dtype}`,
      });
    typed = cast({ dtype: 'f32', select: wide }).apply(typed);
  }
  return typed;
}

/** The weights of a graph become smaller, or larger, and the graph goes on computing as it did. */
async function storeInGraph(
  model: Model,
  dtype: DType,
  options: ConvertOptions,
  findings: Finding[],
  context: WorkContext,
): Promise<Model> {
  const { isWeight, storeAs } = await import('../graph/store-as.js');
  const selected = isSelecting(options)
    ? (tensor: TensorSource): boolean => selects(options, tensor.info.name)
    : (tensor: TensorSource): boolean => isFloat(tensor.info.dtype) && isWeight(tensor);
  if (!options.allowLossy) refuseLossy(model, dtype, selected);
  const kept = await masksPast(dtype, model.tensors.filter(selected), findings, context);
  const stored = storeAs(model, dtype, (tensor) => selected(tensor) && !kept.has(tensor));
  if (stored === model && model.tensors.some((tensor) => selected(tensor) && tensor.info.dtype !== dtype))
    throw new MlserError('E_UNSUPPORTED', `the weights of this graph cannot be stored as ${dtype}`, {
      details: { dtype, opset: model.graph?.opsets.get('') ?? null },
      hint: 'its Cast operator must know the type: choose another, or raise the operator set with --opset',
    });
  return stored;
}

/** Masks are small; weights, which are not looked at, are not as large as what masks add. */
const LARGEST_MASK = 1 << 20;

/** Constants with numbers past the largest of the type, as decoders add them to what must not be seen: they stay. */
async function masksPast(
  dtype: DType,
  selected: readonly TensorSource[],
  findings: Finding[],
  context: WorkContext,
): Promise<ReadonlySet<TensorSource>> {
  if (dtype !== 'f16' && dtype !== 'bf16') return new Set();
  const { outOfRange, staysFinding } = await import('./out-of-range.js');
  const kept = await outOfRange(
    selected.filter((tensor) => isFloat(tensor.info.dtype) && tensor.byteLength <= LARGEST_MASK),
    dtype,
    context,
  );
  findings.push(...[...kept].map(({ info }) => staysFinding(info.name, dtype)));
  return kept;
}

/** Rounding floats is what --dtype asks for; losing range or fractions of integers needs a word more. */
function refuseLossy(model: Model, to: DType, selected: (tensor: TensorSource) => boolean): void {
  for (const tensor of model.tensors) {
    const { name, dtype: from } = tensor.info;
    if (!selected(tensor) || from === to) continue;
    const a = dtypeFacts(from);
    const b = dtypeFacts(to);
    const rounding = a.kind === 'float' && b.kind === 'float';
    const widening = (a.kind === b.kind || (a.kind === 'uint' && b.kind === 'int')) && b.bits > a.bits;
    const intoFloat = (a.kind === 'int' || a.kind === 'uint' || a.kind === 'bool') && b.kind === 'float';
    const fromBool = a.kind === 'bool' && b.kind !== 'complex';
    if (rounding || widening || intoFloat || fromBool) continue;
    throw new MlserError(
      'E_LOSSY',
      `tensor ${JSON.stringify(name)}: ${from} to ${to} can lose values, not only precision`,
      {
        details: { tensor: name, from, to },
        hint: 'leave it out with --exclude, or accept the loss with --allow-lossy',
      },
    );
  }
}

/** Writes the weights into a safetensors file of the same family and tells the graph where they lie. */
const weightsBeside =
  (intended: Model, weightsFile: string) =>
  async (files: OutputFiles, context: WorkContext): Promise<WriteOptions> => {
    const safetensors = formatById('safetensors');
    const writer = await safetensors?.writer?.();
    if (!safetensors || !writer) throw new Error('the safetensors writer is missing');
    const weights = intended.tensors.filter(
      (tensor) => safetensors.dtypes.has(tensor.info.dtype) && tensor.byteLength > 0,
    );
    const { graph: _graph, training: _training, ...rest } = intended;
    const own = { ...rest, tensors: weights, aliases: new Map<string, string>() };
    await writer.write(own, { ...files, main: weightsFile }, { ...context, options: {} });
    const staged = await files.stage();
    try {
      const reader = await safetensors.reader();
      const written = tensorMap(await reader.read({ ...staged, main: weightsFile }, {}));
      return {
        pointAt: new Map(
          [...written].flatMap(([name, { location }]) => (location ? [[name, location] as const] : [])),
        ),
      };
    } finally {
      await staged.close();
    }
  };
