import type { WriteOptions } from '../../core/format.js';
import { LIMITS } from '../../core/limits.js';
import { type Model, tensorMap } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import { holdsValues } from '../../core/training.js';
import { type Finding, finding } from '../../errors.js';
import { onnxTypeOf } from './dtypes.js';
import { initializersOf } from './graphs.js';
import { protoOf } from './summary.js';

/** What keeps a model from being written as ONNX (errors), and what would be lost (warnings). */
export function checkOutput(model: Model, options: WriteOptions): Finding[] {
  if (!model.graph)
    return [
      finding(
        'error',
        'GRAPH_MISSING',
        model.format,
        'an ONNX file needs a graph, and these are weights only: put them into one with --graph base.onnx',
      ),
    ];
  const findings: Finding[] = [];
  const tensors = tensorMap(model);
  for (const initializer of initializersOf(protoOf(model.graph))) {
    const { name } = initializer;
    const tensor = tensors.get(name);
    tensors.delete(name);
    if (!tensor)
      findings.push(
        finding(
          'error',
          'GRAPH_TENSOR_MISSING',
          name,
          `the graph uses tensor ${JSON.stringify(name)}, which was left out or renamed`,
        ),
      );
    else {
      const [dims, type] =
        'sparse' in initializer
          ? [initializer.sparse.dims, initializer.sparse.values?.dataType]
          : [initializer.tensor.dims, initializer.tensor.dataType];
      const problem = misfit(tensor, dims, type);
      if (problem) findings.push(problem);
    }
  }
  for (const name of tensors.keys())
    findings.push(
      finding(
        'warning',
        'GRAPH_LEFT_OVER',
        name,
        `tensor ${JSON.stringify(name)} has no place in the graph: dropped`,
      ),
    );
  for (const [key, value] of model.metadata)
    if (typeof value !== 'string')
      findings.push(
        finding('warning', 'METADATA_TEXT', key, `metadata ${JSON.stringify(key)} is stored as JSON text`),
      );
  if (model.training && holdsValues(model.training.tree))
    findings.push(
      finding('warning', 'TRAINING_DROPPED', 'training', 'ONNX has no place for the training state'),
    );
  const outside = options.externalData ?? options.pointAt !== undefined;
  if (model.aliases.size > 0 && !outside && options.weightsFile === undefined)
    findings.push(
      finding(
        'warning',
        'ALIASES_DROPPED',
        'aliases',
        `${model.aliases.size} tied tensors become copies (--external-data keeps them tied)`,
      ),
    );
  const bytes = model.tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);
  if (options.externalData === false && bytes > LIMITS.PROTOBUF_BYTES)
    findings.push(
      finding(
        'error',
        'PROTOBUF_TOO_LARGE',
        model.format,
        `${bytes} bytes of weights do not fit into one ONNX file, which holds ${LIMITS.PROTOBUF_BYTES}: use --external-data`,
      ),
    );
  return findings;
}

function misfit(
  tensor: TensorSource,
  dims: readonly bigint[],
  type: number | undefined,
): Finding | undefined {
  const { name, dtype, shape } = tensor.info;
  const onnx = onnxTypeOf(dtype);
  if (onnx?.id !== type)
    return finding(
      'error',
      'GRAPH_TENSOR_TYPE',
      name,
      `tensor ${JSON.stringify(name)} is ${dtype}, but the graph computes with another type`,
    );
  if (dims.length !== shape.length || dims.some((dim, i) => dim !== BigInt(shape[i] ?? -1)))
    return finding(
      'error',
      'GRAPH_TENSOR_SHAPE',
      name,
      `tensor ${JSON.stringify(name)} is [${shape.join(', ')}], the graph needs [${dims.join(', ')}]`,
    );
  return undefined;
}
