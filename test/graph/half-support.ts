import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { DType } from '../../src/core/dtype.js';
import type { Model } from '../../src/core/model.js';
import type { Finding } from '../../src/errors.js';
import { onnxTypeOf } from '../../src/formats/onnx/dtypes.js';
import { encodeToBytes } from '../../src/formats/onnx/encode.js';
import {
  create,
  type FunctionProto,
  type GraphProto,
  type NodeProto,
  type ValueInfoProto,
} from '../../src/formats/onnx/schema.js';
import { protoOf } from '../../src/formats/onnx/summary.js';
import {
  type NodeDescription,
  nodeProto,
  type TensorDescription,
  tensorProto,
} from '../../src/graph/build.js';
import { bf16, fp16 } from '../../src/graph/quantize/half.js';
import type { QuantizeSettings } from '../../src/graph/quantize/types.js';
import { bytesOf, openBytes } from './opset-support.js';

/** A node with sub-graphs by the names of their attributes. */
export interface Node extends NodeDescription {
  readonly graphs?: Readonly<Record<string, Graph>>;
}
/** Inputs and outputs as `name` or `name:dtype`, f32 without; with a shape in brackets: `x[2,3]`. */
export interface Graph {
  readonly nodes: readonly Node[];
  readonly inputs?: readonly string[];
  readonly outputs: readonly string[];
  readonly constants?: readonly TensorDescription[];
  readonly values?: readonly string[];
}
export interface Sample extends Graph {
  readonly opset?: number;
  readonly ir?: bigint;
  readonly domains?: readonly string[];
  readonly functions?: readonly FunctionProto[];
}

export const floats = (
  name: string,
  values: readonly number[],
  shape: readonly number[] = [values.length],
) => ({
  name,
  dtype: 'f32' as const,
  shape,
  raw: new Uint8Array(Float32Array.from(values).buffer),
});
export const integers = (
  name: string,
  values: readonly number[],
  shape: readonly number[] = [values.length],
) => ({
  name,
  dtype: 'i64' as const,
  shape,
  raw: new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer),
});
export const node = (
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: NodeDescription['attributes'] = {},
): Node => ({ op, inputs, outputs, attributes });

function valueInfo(text: string): ValueInfoProto {
  const [, name = '', dtype = 'f32', dims] = /^([\w/.]+)(?::(\w+))?(?:\[(.*)\])?$/.exec(text) ?? [];
  const dim = (dims ? dims.split(',') : []).map((size) =>
    create('TensorShapeProtoDimension', /^\d+$/.test(size) ? { dimValue: BigInt(size) } : { dimParam: size }),
  );
  return create('ValueInfoProto', {
    name,
    type: create('TypeProto', {
      tensorType: create('TypeProtoTensor', {
        elemType: onnxTypeOf(dtype as DType)?.id,
        ...(dims === undefined ? {} : { shape: create('TensorShapeProto', { dim }) }),
      }),
    }),
  });
}

export function nodeOf({ graphs = {}, ...description }: Node, index: number): NodeProto {
  const proto = nodeProto(description, index);
  const inner = Object.entries(graphs).map(([name, g]) =>
    create('AttributeProto', { name, type: 5, g: graphOf(g) }),
  );
  return { ...proto, attribute: [...proto.attribute, ...inner] };
}

const graphOf = ({ nodes, inputs = [], outputs, constants = [], values = [] }: Graph): GraphProto =>
  create('GraphProto', {
    name: 'graph',
    node: nodes.map(nodeOf),
    input: inputs.map(valueInfo),
    output: outputs.map(valueInfo),
    initializer: constants.map(tensorProto),
    valueInfo: values.map(valueInfo),
  });

export const sampleBytes = async (sample: Sample): Promise<Uint8Array> =>
  encodeToBytes(
    'ModelProto',
    create('ModelProto', {
      irVersion: sample.ir ?? 8n,
      opsetImport: [
        create('OperatorSetIdProto', { domain: '', version: BigInt(sample.opset ?? 17) }),
        ...(sample.domains ?? []).map((domain) => create('OperatorSetIdProto', { domain, version: 1n })),
      ],
      functions: sample.functions ?? [],
      graph: graphOf(sample),
    }),
  );

export interface Converted {
  readonly before: Uint8Array;
  readonly bytes: Uint8Array;
  readonly model: Model;
  readonly graph: GraphProto;
  readonly findings: readonly Finding[];
  /** `Op(inputs) -> outputs` of the main graph. */
  readonly lines: readonly string[];
}

/** Converts a sample; what comes out is written, and read again. */
export async function converted(
  sample: Sample,
  settings: Partial<QuantizeSettings> = {},
  scheme = fp16,
): Promise<Converted> {
  const before = await sampleBytes(sample);
  const made = await scheme.apply(await openBytes(before), { selects: () => true, ...settings }, undefined);
  const bytes = await bytesOf(made.model);
  const model = await openBytes(bytes);
  const { graph } = model.graph ? protoOf(model.graph) : {};
  if (!graph) throw new Error('no graph');
  return { before, bytes, model, graph, findings: made.findings, lines: linesOf(graph) };
}
export const storedAsBf16 = (sample: Sample, settings: Partial<QuantizeSettings> = {}) =>
  converted(sample, settings, bf16);

export const linesOf = ({ node: nodes }: GraphProto): string[] =>
  nodes.map((one) => {
    const to = one.attribute.find(({ name }) => name === 'to')?.i;
    return `${one.opType}${to === undefined ? '' : `:${to}`}(${one.input.join(', ')}) -> ${one.output.join(', ')}`;
  });
export const typesOf = (model: Model): Record<string, DType> =>
  Object.fromEntries(model.tensors.map(({ info }) => [info.name, info.dtype]));
export const codes = (findings: readonly Finding[]): string[] => findings.map(({ code }) => code);

export type Feeds = Readonly<Record<string, Tensor>>;
export const feed = (values: readonly number[], dims: readonly number[] = [values.length]): Tensor =>
  new Tensor('float32', Float32Array.from(values), [...dims]);

export async function run(bytes: Uint8Array, feeds: Feeds): Promise<Record<string, number[]>> {
  const session = await InferenceSession.create(bytes, { logSeverityLevel: 3 });
  try {
    const results = await session.run({ ...feeds });
    return Object.fromEntries(
      Object.entries(results).map(([name, value]) => [name, Array.from(value.data as Float32Array, Number)]),
    );
  } finally {
    await session.release();
  }
}

/** All results, one after the other. */
export const resultsOf = async (bytes: Uint8Array, feeds: Feeds): Promise<number[]> =>
  Object.values(await run(bytes, feeds)).flat();

/** Largest difference of the results before and after. */
export async function change({ before, bytes }: Converted, feeds: Feeds): Promise<number> {
  const [a, b] = [await run(before, feeds), await run(bytes, feeds)];
  let worst = 0;
  for (const [name, values] of Object.entries(a))
    for (const [i, value] of values.entries())
      worst = Math.max(worst, Object.is(value, b[name]?.[i]) ? 0 : Math.abs(value - (b[name]?.[i] ?? NaN)));
  return worst;
}
