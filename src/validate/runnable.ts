import type { OnnxGraph } from '../core/graph.js';
import type { Model } from '../core/model.js';
import { type Finding, finding } from '../errors.js';
import type { InputFiles } from '../io/files.js';
import type { Session } from '../runtime/process.js';
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

/** What the session says about its inputs, with what only the file says: whether a shape is given at all. */
export function inputsOf(session: Session, graph: OnnxGraph): readonly ValueInfo[] {
  const declared = new Map(graph.inputs.map((input) => [input.name, input]));
  return session.inputs.map((input) => {
    const info = declared.get(input.name);
    return info ? { ...input, shape: info.shape } : input;
  });
}
