import type { ModelReader } from '../../core/format.js';
import { LIMITS } from '../../core/limits.js';
import type { Model } from '../../core/model.js';
import type { TensorSource } from '../../core/tensor.js';
import { type Finding, finding, MlserError, malformed } from '../../errors.js';
import type { InputFiles } from '../../io/files.js';
import { checkModel } from './check-model.js';
import { decodeMessage } from './decode.js';
import { ExternalData } from './external-data.js';
import { attributeTensors, graphsOf, initializersOf } from './graphs.js';
import { rememberOrigin } from './origins.js';
import type { GraphProto, ModelProto } from './schema.js';
import { openSparse } from './sparse.js';
import { summarize } from './summary.js';
import { openTensor } from './tensor-data.js';

/**
 * Reads a model without its tensors: the structure is decoded and checked (check-model.ts), every tensor is held
 * against the bytes that are there, and initializers become lazy tensors.
 */
export const reader: ModelReader = {
  async read(files) {
    const source = await files.open(files.main);
    if (source.size === 0)
      throw malformed(`${files.main} is empty (0 bytes)`, { file: files.main }, 'download or copy it again');
    const { message, findings: noticed } = await decodeMessage('ModelProto', source);
    const findings: Finding[] = [...noticed];
    if (source.size > LIMITS.PROTOBUF_BYTES)
      findings.push(
        finding(
          'warning',
          'PROTOBUF_TOO_LARGE',
          files.main,
          `${files.main} has ${source.size} bytes: runtimes refuse more than ${LIMITS.PROTOBUF_BYTES}; convert it with --external-data`,
        ),
      );
    checkModel(message, files.main, findings);
    const { tensors, aliases } = await openTensors(message, files, findings);
    return {
      format: 'onnx',
      formatVersion: `IR ${message.irVersion ?? 0n}`,
      tensors,
      aliases,
      metadata: new Map(message.metadataProps.map(({ key = '', value = '' }) => [key, value])),
      graph: summarize(message),
      findings: summarizeFindings(findings),
    };
  },
};

async function openTensors(
  model: ModelProto,
  files: InputFiles,
  findings: Finding[],
): Promise<Pick<Model, 'tensors' | 'aliases'>> {
  const external = new ExternalData(files, findings);
  const tensors: TensorSource[] = [];
  const aliases = new Map<string, string>();
  /** The first tensor at each place of a data file: tied weights share their place. */
  const places = new Map<string, string>();
  for (const initializer of initializersOf(model)) {
    const { name } = initializer;
    if (tensors.length >= LIMITS.TENSORS)
      throw new MlserError('E_LIMIT', `${files.main}: more than ${LIMITS.TENSORS} tensors (TENSORS)`, {
        details: { file: files.main, limit: 'TENSORS' },
        hint: 'no model that we know has so many',
      });
    if ('sparse' in initializer) {
      const dense = await openSparse(initializer.sparse, name, files.main, external);
      rememberOrigin(dense, initializer.sparse);
      tensors.push(dense);
      continue;
    }
    const tensor = await openTensor(initializer.tensor, name, files.main, external);
    rememberOrigin(tensor, initializer.tensor);
    tensors.push(tensor);
    if (initializer.tensor.dataLocation !== 1 || !tensor.location) continue;
    const { file, offset } = tensor.location;
    const place = JSON.stringify([file, offset, tensor.info.dtype, tensor.info.shape]);
    const first = places.get(place);
    if (first === undefined) places.set(place, name);
    else aliases.set(name, first);
  }
  await checkOtherTensors(model, files.main, external);
  return { tensors, aliases };
}

/** Tensors in attributes and in training graphs are kept as they are, but must be as sound as initializers. */
async function checkOtherTensors(model: ModelProto, file: string, external: ExternalData): Promise<void> {
  const training = model.trainingInfo.flatMap(({ initialization, algorithm }) =>
    [initialization, algorithm].filter((graph): graph is GraphProto => graph !== undefined),
  );
  const bodies = [
    ...[...graphsOf(model)].map(({ graph, prefix }) => ({ nodes: graph.node, prefix })),
    ...model.functions.map((body) => ({
      nodes: body.node,
      prefix: `${body.domain ?? ''}.${body.name ?? ''}/`,
    })),
    ...training.map((graph) => ({ nodes: graph.node, prefix: `training ${graph.name ?? ''}/` })),
  ];
  for (const { nodes, prefix } of bodies) {
    for (const [name, tensor] of attributeTensors(nodes, prefix))
      await openTensor(tensor, name, file, external);
    for (const node of nodes)
      for (const { name = '', sparseTensor, sparseTensors } of node.attribute)
        for (const sparse of sparseTensor ? [sparseTensor, ...sparseTensors] : sparseTensors)
          await openSparse(sparse, `${prefix}${node.name ?? ''}:${name}`, file, external);
  }
  for (const graph of training)
    for (const tensor of graph.initializer) await openTensor(tensor, tensor.name ?? '', file, external);
}

/** One finding a kind: the first, and how many more there are. */
function summarizeFindings(findings: readonly Finding[]): Finding[] {
  const groups = new Map<string, Finding[]>();
  for (const one of findings) {
    const group = groups.get(one.code);
    if (group) group.push(one);
    else groups.set(one.code, [one]);
  }
  return [...groups.values()].flatMap(([first, ...more]) =>
    !first
      ? []
      : more.length === 0
        ? [first]
        : [{ ...first, message: `${first.message} (and ${more.length} more)` }],
  );
}
