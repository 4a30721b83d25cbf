import type { OnnxValueInfo } from '../core/graph.js';
import { type Model, tensorMap } from '../core/model.js';
import type { TensorSource } from '../core/tensor.js';
import { isMlserError } from '../errors.js';
import { type GraphPart, type KnownValue, partition, partModel, workingBytes } from '../graph/partition.js';
import { type ActualDevice, providersOf } from '../runtime/devices.js';
import type { Runtime, Session } from '../runtime/process.js';
import type { SessionSettings } from '../runtime/protocol.js';
import { dtypeOf, type Value, type ValueInfo, type Values, valueType } from '../runtime/values.js';
import type { Runnable } from './runnable.js';

/** Models larger than this are run with their weights mapped from the file, without copies. */
const LEAN_BYTES = 256 * 1024 * 1024;
/** And those that take more than this while they run, whatever the file has. */
const LEAN_WORKING_BYTES = 1024 * 1024 * 1024;
/** Weights of one part of a large graph: mapped pages count towards the memory of a process. */
const PART_BYTES = 96 * 1024 * 1024;

/**
 * A session of a model. Small ones are loaded by the runtime as anybody would load them. Large ones are told where
 * their weights lie and, on the cpu, are run part after part, so that memory is bounded by a part.
 */
export async function openSession(
  target: Runnable,
  runtime: Runtime,
  device: ActualDevice,
  threads: number,
): Promise<Session> {
  const { tensors } = target.model;
  const working = tensors.reduce((sum, tensor) => sum + workingBytes(tensor), 0);
  const lean = bytesOf(tensors) > LEAN_BYTES || working > LEAN_WORKING_BYTES;
  const settings = { providers: providersOf(device), threads, lean };
  const parts = lean && device === 'cpu' ? partition(target.model, PART_BYTES) : undefined;
  if (parts) return inParts(target, runtime, settings, parts);
  // The runtime holds inline weights twice while it loads them; told where they lie in the file, it maps them.
  const inline = target.model.tensors.filter(({ location }) => location?.file === target.files.main);
  if (!lean || bytesOf(inline) <= LEAN_BYTES) return whole(target, runtime, settings);
  try {
    const bytes = await skeleton(target.model);
    return await runtime.create({ bytes, folder: target.folder }, settings, target.files.label);
  } catch (error) {
    if (!isRefusedPath(error)) throw error;
    return whole(target, runtime, settings);
  }
}

const bytesOf = (tensors: readonly TensorSource[]): number =>
  tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);

/** True if the runtime refused external data because of where its file really lies (a link out of the folder). */
export const isRefusedPath = (error: unknown): boolean =>
  isMlserError(error) && /External data path validation failed/.test(error.message);

async function whole(
  { files, folder }: Runnable,
  runtime: Runtime,
  settings: SessionSettings,
): Promise<Session> {
  const { path } = await files.open(files.main);
  if (path === undefined) throw new Error(`${folder}/${files.main} has no path`);
  return runtime.create({ path }, settings, files.label);
}

/** The structure of a model, its weights as ranges of the files they lie in. */
async function skeleton(model: Model): Promise<Uint8Array> {
  const { skeletonBytes } = await import('../formats/onnx/skeleton.js');
  const places = tensorMap(model);
  return skeletonBytes(model, (name) => {
    const tensor = places.get(name);
    if (!tensor?.location) return undefined;
    const { location, byteLength } = tensor;
    return { location: location.file, offset: location.offset, length: byteLength };
  });
}

/** A session that is many: every run makes one per part, and hands on what flows between them. */
export function inParts(
  target: Runnable,
  runtime: Runtime,
  settings: SessionSettings,
  parts: readonly GraphPart[],
): Session {
  const { model, graph, files, folder } = target;
  let instead: Session | undefined;
  const describe = ({ name, dtype, shape }: OnnxValueInfo): ValueInfo => ({
    name,
    type: valueType(dtype),
    shape,
  });
  const outputs = graph.outputs.map(describe);
  const all = outputs.filter(({ type }) => type !== undefined).map(({ name }) => name);

  const runPart = async (part: GraphPart, values: Map<string, Value>, label: string): Promise<number> => {
    const needs = new Map<string, Value>();
    for (const name of part.needs) {
      const value = values.get(name);
      if (value) needs.set(name, value);
    }
    const known = new Map([...needs].map(([name, value]) => [name, knownValue(value)]));
    const bytes = await skeleton(partModel(model, part, known));
    const session = await runtime.create({ bytes, folder }, settings, label);
    try {
      const { outputs: made, milliseconds } = await session.run(needs, part.gives);
      for (const [name, value] of made) values.set(name, value);
      return milliseconds;
    } finally {
      await session.release();
    }
  };
  const runParts = async (feeds: Values, fetches: readonly string[]) => {
    const values = new Map(feeds);
    let milliseconds = 0;
    for (const [i, part] of parts.entries()) {
      milliseconds += await runPart(part, values, `${files.label} (part ${i + 1} of ${parts.length})`);
      const later = new Set([...parts.slice(i + 1).flatMap(({ needs }) => needs), ...fetches]);
      for (const name of values.keys()) if (!later.has(name)) values.delete(name);
    }
    return { outputs: new Map(fetches.flatMap((name) => pick(values, name))), milliseconds };
  };
  return {
    label: files.label,
    inputs: graph.inputs.map(describe),
    outputs,
    async run(feeds, fetches = all) {
      if (!instead)
        try {
          return await runParts(feeds, fetches);
        } catch (error) {
          // What flows between parts may be of a type that cannot leave a graph (bf16).
          if (!isRefusedPath(error) && !isEdgeType(error)) throw error;
          instead = await whole(target, runtime, settings);
        }
      return instead.run(feeds, fetches);
    },
    async release() {
      await instead?.release();
      instead = undefined;
    },
  };
}

const isEdgeType = (error: unknown): boolean =>
  isMlserError(error) && /Unsupported data type|gave no output/.test(error.message);

const knownValue = ({ type, dims }: Value): KnownValue => ({ dtype: dtypeOf(type), shape: dims });

const pick = (values: ReadonlyMap<string, Value>, name: string): (readonly [string, Value])[] => {
  const value = values.get(name);
  return value ? [[name, value]] : [];
};
