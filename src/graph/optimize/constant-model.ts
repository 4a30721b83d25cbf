import type { Model } from '../../core/model.js';
import { onnxTypeOf } from '../../formats/onnx/dtypes.js';
import { create, type NodeProto } from '../../formats/onnx/schema.js';
import { summarize } from '../../formats/onnx/summary.js';
import { irVersionFor } from '../opset/ir-version.js';
import type { WorkGraph } from './work-graph.js';

/** A model without inputs: nodes that follow from constants, and the values of theirs that are wanted. */
export function constantModel(
  graph: WorkGraph,
  nodes: readonly NodeProto[],
  wanted: readonly string[],
): Model {
  const made = new Set(nodes.flatMap(({ output }) => output));
  const tensors = [...new Set(nodes.flatMap(({ input }) => input))].flatMap((name) => {
    const tensor = made.has(name) ? undefined : graph.constant(name);
    return tensor ? [{ ...tensor, info: { ...tensor.info, name } }] : [];
  });
  const opset = graph.shop.opsets.get('') ?? 0;
  const proto = create('ModelProto', {
    producerName: 'mlser',
    opsetImport: [...graph.shop.opsets].map(([domain, version]) =>
      create('OperatorSetIdProto', { domain, version: BigInt(version) }),
    ),
    graph: create('GraphProto', {
      name: 'constants',
      node: nodes,
      initializer: tensors.map(({ info }) => {
        const dataType = onnxTypeOf(info.dtype)?.id;
        return create('TensorProto', {
          name: info.name,
          dims: info.shape.map(BigInt),
          ...(dataType ? { dataType } : {}),
        });
      }),
      // The runtime infers types that are not given.
      output: wanted.map((name) => create('ValueInfoProto', { name })),
    }),
  });
  const whole = { ...proto, irVersion: irVersionFor({ ...proto, irVersion: 8n }, opset, true) };
  return {
    format: 'onnx',
    formatVersion: `IR ${whole.irVersion}`,
    tensors,
    aliases: new Map(),
    metadata: new Map(),
    graph: summarize(whole),
    findings: [],
  };
}
