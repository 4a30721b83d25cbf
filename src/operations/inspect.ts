import { elementCount } from '../core/dtype.js';
import type { WorkContext } from '../core/format.js';
import type { Model } from '../core/model.js';
import type { TensorSource } from '../core/tensor.js';
import type { TensorStats } from '../kernels/statistics.js';
import { type OpenedModel, withModel } from './open.js';
import type { DTypeTotals, InspectReport, TensorEntry } from './reports.js';
import { selects, type TensorSelection } from './selection.js';
import { graphToJson, metadataRecord, record, trainingToJson } from './to-json.js';

export interface InspectOptions extends TensorSelection {
  /** Minimum, maximum, mean, … of every tensor (reads the data). */
  readonly stats?: boolean;
  /** Bins of a histogram of every tensor; implies `stats`. */
  readonly histogram?: number;
  /** SHA-256 of every tensor, and the content id (reads the data). */
  readonly hashes?: boolean;
}

/** What is inside a model. Reads headers only, unless statistics or hashes are asked for. */
export const inspectModel = (
  input: string,
  options: InspectOptions,
  context: WorkContext,
): Promise<InspectReport> => withModel(input, context, (opened) => inspectOpened(opened, options, context));

export async function inspectOpened(
  { input, model, files, bases }: OpenedModel,
  options: InspectOptions,
  context: WorkContext,
): Promise<InspectReport> {
  const chosen = model.tensors.filter((tensor) => selects(options, tensor.info.name));
  const hashes = options.hashes ? await (await import('./hashes.js')).hashModel(model, context) : undefined;
  const stats =
    options.stats || options.histogram
      ? await statistics(model, chosen, options.histogram, context)
      : undefined;
  const opened = files.opened().map(({ name, size }) => ({ name, bytes: size }));
  return {
    command: 'inspect',
    path: input,
    format: model.format,
    formatVersion: model.formatVersion ?? null,
    files: opened,
    bytes: opened.reduce((sum, file) => sum + file.bytes, 0),
    ...totals(model),
    tensors: chosen.map((tensor) => tensorEntry(tensor, model, hashes?.tensors, stats)),
    metadata: metadataRecord(model.metadata),
    ...(model.graph ? { graph: graphToJson(model.graph) } : {}),
    ...(model.training ? { training: trainingToJson(model.training) } : {}),
    ...(hashes ? { content: hashes.content } : {}),
    ...(model.delta ? { delta: { ...model.delta, found: bases.length > 0 } } : {}),
    findings: model.findings,
  };
}

async function statistics(
  model: Model,
  tensors: readonly TensorSource[],
  histogram: number | undefined,
  context: WorkContext,
): Promise<ReadonlyMap<string, TensorStats>> {
  const { statTensors } = await import('../kernels/statistics.js');
  const own = tensors.filter((tensor) => !model.aliases.has(tensor.info.name));
  context.progress.stage('statistics', bytesOf(own));
  const stats = await statTensors(own, context, { detail: true, ...(histogram ? { histogram } : {}) });
  const byName = new Map<string, TensorStats>();
  own.forEach((tensor, i) => {
    const found = stats[i];
    if (found) byName.set(tensor.info.name, found);
  });
  for (const [alias, canonical] of model.aliases) {
    const found = byName.get(canonical);
    if (found) byName.set(alias, found);
  }
  return byName;
}

function tensorEntry(
  tensor: TensorSource,
  model: Model,
  hashes: ReadonlyMap<string, string> | undefined,
  stats: ReadonlyMap<string, TensorStats> | undefined,
): TensorEntry {
  const { name, dtype, shape } = tensor.info;
  const aliasOf = model.aliases.get(name);
  const sha256 = hashes?.get(name);
  const found = stats?.get(name);
  const { location, byteLength: bytes } = tensor;
  // Most tensors, and a model may have a million of them: one object of one shape.
  if (location && aliasOf === undefined && tensor.role === undefined && !sha256 && !found)
    return { name, dtype, shape, bytes, file: location.file, offset: location.offset };
  return {
    name,
    dtype,
    shape,
    bytes,
    ...(location ? { file: location.file, offset: location.offset } : {}),
    ...(aliasOf === undefined ? {} : { aliasOf }),
    ...(tensor.role === undefined ? {} : { role: tensor.role }),
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(found === undefined ? {} : { stats: found }),
  };
}

/** Totals count a tied tensor once. */
function totals(model: Model): Pick<InspectReport, 'parameters' | 'tensorBytes' | 'dtypes'> {
  const dtypes = new Map<string, { -readonly [K in keyof DTypeTotals]: DTypeTotals[K] }>();
  let parameters = 0;
  let tensorBytes = 0;
  for (const { info, byteLength } of model.tensors) {
    if (model.aliases.has(info.name)) continue;
    const count = elementCount(info.shape, info.name);
    let total = dtypes.get(info.dtype);
    if (!total) {
      total = { tensors: 0, parameters: 0, bytes: 0 };
      dtypes.set(info.dtype, total);
    }
    total.tensors++;
    total.parameters += count;
    total.bytes += byteLength;
    parameters += count;
    tensorBytes += byteLength;
  }
  return { parameters, tensorBytes, dtypes: record(dtypes) };
}

export const bytesOf = (tensors: readonly TensorSource[]): number =>
  tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);

/** Bytes of the tensors of a model, tied ones once. */
export const tensorBytesOf = ({ tensors, aliases }: Pick<Model, 'tensors' | 'aliases'>): number =>
  bytesOf(tensors.filter(({ info }) => !aliases.has(info.name)));
