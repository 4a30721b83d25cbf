import type { DType } from '../core/dtype.js';
import { tensorBytes } from '../core/dtype.js';
import { MlserError } from '../errors.js';
import { rawBytes } from '../formats/onnx/data-span.js';
import { onnxTypeOf } from '../formats/onnx/dtypes.js';
import { encodeToBytes } from '../formats/onnx/encode.js';
import { externalFields } from '../formats/onnx/external-fields.js';
import {
  type AttributeProto,
  create,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from '../formats/onnx/schema.js';

/** An initializer described in place: its bytes, or a range of a file beside the model. */
export interface TensorDescription {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Canonical bytes (little-endian, row-major). */
  readonly raw?: Uint8Array;
  readonly external?: { readonly location: string; readonly offset: number; readonly length: number };
}

/** Integers are bigints, floats are numbers: that is how INT and FLOAT are told apart. */
export type AttributeValue =
  | number
  | bigint
  | string
  | Uint8Array
  | TensorDescription
  | readonly bigint[]
  | readonly number[]
  | readonly string[];

export interface NodeDescription {
  readonly op: string;
  /** '' stands for an absent optional input. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  readonly domain?: string;
  readonly name?: string;
}

export interface ValueDescription {
  readonly name: string;
  readonly dtype: DType;
  /** A string is a symbolic dimension. */
  readonly shape: readonly (number | string)[];
}

export interface ModelDescription {
  /** Version of the standard operators. */
  readonly opset: number;
  /** Other operator sets, domain → version. */
  readonly domains?: ReadonlyMap<string, number>;
  /** Default 10 (what onnxruntime 1.18 and later read). */
  readonly irVersion?: number;
  readonly nodes: readonly NodeDescription[];
  readonly inputs: readonly ValueDescription[];
  readonly outputs: readonly ValueDescription[];
  readonly initializers?: readonly TensorDescription[];
}

const typeId = (dtype: DType, what: string): number => {
  const type = onnxTypeOf(dtype);
  if (!type)
    throw new MlserError('E_UNSUPPORTED', `${what}: ONNX has no type for ${dtype}`, {
      details: { tensor: what, dtype },
      hint: 'cast the tensor first',
    });
  return type.id;
};

/** A TensorProto from its description. E_UNSUPPORTED for types that ONNX lacks, E_USAGE if the bytes do not fit. */
export function tensorProto(tensor: TensorDescription): TensorProto {
  const { name, dtype, shape, raw, external } = tensor;
  const needed = tensorBytes(dtype, shape, name);
  if (needed !== (external?.length ?? raw?.byteLength ?? 0))
    throw new MlserError('E_USAGE', `${name}: ${dtype} [${shape.join(', ')}] needs ${needed} bytes`, {
      details: { tensor: name, needed, found: external?.length ?? raw?.byteLength ?? 0 },
    });
  const base = { name, dims: shape.map(BigInt), dataType: typeId(dtype, name) };
  if (!external) return create('TensorProto', { ...base, data: [rawBytes(raw ?? new Uint8Array())] });
  return create('TensorProto', { ...base, ...externalFields(external) });
}

const utf8 = (text: string): Uint8Array => Buffer.from(text, 'utf8');

/** An attribute from its value. Numbers of AttributeProto.AttributeType. */
export function attributeProto(name: string, value: AttributeValue): AttributeProto {
  if (typeof value === 'number') return create('AttributeProto', { name, type: 1, f: value });
  if (typeof value === 'bigint') return create('AttributeProto', { name, type: 2, i: value });
  if (typeof value === 'string') return create('AttributeProto', { name, type: 3, s: utf8(value) });
  if (value instanceof Uint8Array) return create('AttributeProto', { name, type: 3, s: value });
  if ('dtype' in value) return create('AttributeProto', { name, type: 4, t: tensorProto(value) });
  const numbers = value.filter((item) => typeof item === 'number');
  const integers = value.filter((item) => typeof item === 'bigint');
  const strings = value.filter((item) => typeof item === 'string');
  if (numbers.length > 0) return create('AttributeProto', { name, type: 6, floats: numbers });
  if (strings.length > 0) return create('AttributeProto', { name, type: 8, strings: strings.map(utf8) });
  return create('AttributeProto', { name, type: 7, ints: integers });
}

/** A node from its description; `index` makes a name where none is given. */
export const nodeProto = (node: NodeDescription, index: number): NodeProto =>
  create('NodeProto', {
    name: node.name ?? `${node.op}_${index}`,
    opType: node.op,
    input: node.inputs,
    output: node.outputs,
    ...(node.domain === undefined ? {} : { domain: node.domain }),
    attribute: Object.entries(node.attributes ?? {}).map(([name, value]) => attributeProto(name, value)),
  });

const valueInfo = ({ name, dtype, shape }: ValueDescription): ValueInfoProto =>
  create('ValueInfoProto', {
    name,
    type: create('TypeProto', {
      tensorType: create('TypeProtoTensor', {
        elemType: typeId(dtype, name),
        shape: create('TensorShapeProto', {
          dim: shape.map((dim) =>
            create(
              'TensorShapeProtoDimension',
              typeof dim === 'string' ? { dimParam: dim } : { dimValue: BigInt(dim) },
            ),
          ),
        }),
      }),
    }),
  });

/**
 * Encodes a small ONNX model: the graphs that prove written weights, and graphs made from architectures.
 * Nodes must be in topological order.
 */
export async function encodeModel(model: ModelDescription): Promise<Uint8Array> {
  const domains = new Map([['', model.opset], ...(model.domains ?? [])]);
  return encodeToBytes(
    'ModelProto',
    create('ModelProto', {
      irVersion: BigInt(model.irVersion ?? 10),
      producerName: 'mlser',
      opsetImport: [...domains].map(([domain, version]) =>
        create('OperatorSetIdProto', { domain, version: BigInt(version) }),
      ),
      graph: create('GraphProto', {
        name: 'graph',
        node: model.nodes.map(nodeProto),
        initializer: (model.initializers ?? []).map(tensorProto),
        input: model.inputs.map(valueInfo),
        output: model.outputs.map(valueInfo),
      }),
    }),
  );
}
