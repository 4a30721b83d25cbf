import type { OnnxGraph } from '../core/graph.js';
import { type Model, tensorMap } from '../core/model.js';
import type { TensorSource } from '../core/tensor.js';
import { type Finding, finding, isMlserError } from '../errors.js';
import type { InputFiles } from '../io/files.js';
import { type ActualDevice, providersOf } from '../runtime/devices.js';
import type { Runtime, Session } from '../runtime/process.js';
import { type ValueInfo, valueType } from '../runtime/values.js';

/** A model with a graph, in files that the runtime can open. */
export interface Runnable {
  readonly model: Model;
  readonly graph: OnnxGraph;
  readonly files: InputFiles;
  /** Absolute folder of the files. */
  readonly folder: string;
}

/** undefined: no graph, not an ONNX file, or not on a local disk. */
export function runnable(model: Model, files: InputFiles): Runnable | undefined {
  const { graph } = model;
  const { folder } = files;
  return graph && folder !== undefined && model.format === 'onnx'
    ? { model, graph, files, folder }
    : undefined;
}

/** Says that a graph cannot be run where it lies, so that nothing is compared with it. */
export const notRunnable = (model: Model, files: InputFiles): Finding[] =>
  model.graph && !runnable(model, files)
    ? [finding('warning', 'REFERENCE_NOT_RUN', files.label, 'only graphs in local ONNX files are run')]
    : [];

/**
 * Inputs and outputs of types that cannot cross the edge of a graph (int4 aborts the runtime, bf16 and fp8 are
 * refused), so that no session is made of them.
 */
export function uncallable({ graph, files }: Runnable): Finding | undefined {
  const values = [...graph.inputs, ...graph.outputs];
  const odd = values.find(({ dtype }) => valueType(dtype) === undefined && !/\(/.test(dtype));
  if (!odd) return undefined;
  return finding(
    'warning',
    'GRAPH_EDGE_TYPE',
    odd.name,
    `${files.label} cannot be run: onnxruntime takes and gives no ${odd.dtype} at the edge of a graph`,
  );
}

/** Models larger than this are run with their weights mapped from the file, without copies. */
const LEAN_BYTES = 256 * 1024 * 1024;

export async function openSession(
  { model, files, folder }: Runnable,
  runtime: Runtime,
  device: ActualDevice,
  threads: number,
): Promise<Session> {
  const lean = bytesOf(model.tensors) > LEAN_BYTES;
  const settings = { providers: providersOf(device), threads, lean };
  // The runtime holds inline weights twice while it loads them; told where they lie in the file, it maps them.
  const inline = model.tensors.filter(({ location }) => location?.file === files.main);
  if (lean && bytesOf(inline) > LEAN_BYTES)
    try {
      const { skeletonBytes } = await import('../formats/onnx/skeleton.js');
      const places = tensorMap(model);
      const bytes = await skeletonBytes(model, (name) => {
        const tensor = places.get(name);
        if (!tensor?.location) return undefined;
        const { location, byteLength } = tensor;
        return { location: location.file, offset: location.offset, length: byteLength };
      });
      return await runtime.create({ bytes, folder }, settings, files.label);
    } catch (error) {
      // It maps nothing through a link that leads out of the folder.
      if (!isRefusedPath(error)) throw error;
    }
  const { path } = await files.open(files.main);
  if (path === undefined) throw new Error(`${folder}/${files.main} has no path`);
  return runtime.create({ path }, settings, files.label);
}

const bytesOf = (tensors: readonly TensorSource[]): number =>
  tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);

/** True if the runtime refused external data because of where its file really lies. */
export const isRefusedPath = (error: unknown): boolean =>
  isMlserError(error) && /External data path validation failed/.test(error.message);

/** What the session says about its inputs, with what only the file says: whether a shape is given at all. */
export function inputsOf(session: Session, graph: OnnxGraph): readonly ValueInfo[] {
  const declared = new Map(graph.inputs.map((input) => [input.name, input]));
  return session.inputs.map((input) => {
    const info = declared.get(input.name);
    return info ? { ...input, shape: info.shape } : input;
  });
}
