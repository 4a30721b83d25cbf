/**
 * The messages of schemas/onnx.proto as a table: what decode.ts and encode.ts walk, and what the types of messages
 * are derived from. A table of our own because loading protobufjs and the schema costs as much as starting Node;
 * a test holds this table against schemas/onnx.proto with protobufjs as the judge.
 *
 * The data fields of TensorProto are not here: they stay in the file (data-span.ts).
 */
import type { DataSpan } from './data-span.js';

interface Field<T extends string = string, Many extends boolean = boolean> {
  readonly id: number;
  readonly type: T;
  readonly many: Many;
  /** Member of its message's only oneof: setting it clears the others. */
  readonly choice: boolean;
}
const one = <const T extends string>(id: number, type: T): Field<T, false> => ({
  id,
  type,
  many: false,
  choice: false,
});
const many = <const T extends string>(id: number, type: T): Field<T, true> => ({
  id,
  type,
  many: true,
  choice: false,
});
const choice = <const T extends string>(id: number, type: T): Field<T, false> => ({
  id,
  type,
  many: false,
  choice: true,
});

export const SCHEMA = {
  ModelProto: {
    irVersion: one(1, 'int64'),
    producerName: one(2, 'string'),
    producerVersion: one(3, 'string'),
    domain: one(4, 'string'),
    modelVersion: one(5, 'int64'),
    docString: one(6, 'string'),
    graph: one(7, 'GraphProto'),
    opsetImport: many(8, 'OperatorSetIdProto'),
    metadataProps: many(14, 'StringStringEntryProto'),
    trainingInfo: many(20, 'TrainingInfoProto'),
    functions: many(25, 'FunctionProto'),
    configuration: many(26, 'DeviceConfigurationProto'),
  },
  OperatorSetIdProto: {
    domain: one(1, 'string'),
    version: one(2, 'int64'),
  },
  GraphProto: {
    node: many(1, 'NodeProto'),
    name: one(2, 'string'),
    initializer: many(5, 'TensorProto'),
    docString: one(10, 'string'),
    input: many(11, 'ValueInfoProto'),
    output: many(12, 'ValueInfoProto'),
    valueInfo: many(13, 'ValueInfoProto'),
    quantizationAnnotation: many(14, 'TensorAnnotation'),
    sparseInitializer: many(15, 'SparseTensorProto'),
    metadataProps: many(16, 'StringStringEntryProto'),
  },
  NodeProto: {
    input: many(1, 'string'),
    output: many(2, 'string'),
    name: one(3, 'string'),
    opType: one(4, 'string'),
    attribute: many(5, 'AttributeProto'),
    docString: one(6, 'string'),
    domain: one(7, 'string'),
    overload: one(8, 'string'),
    metadataProps: many(9, 'StringStringEntryProto'),
    deviceConfigurations: many(10, 'NodeDeviceConfigurationProto'),
  },
  AttributeProto: {
    name: one(1, 'string'),
    f: one(2, 'float'),
    i: one(3, 'int64'),
    s: one(4, 'bytes'),
    t: one(5, 'TensorProto'),
    g: one(6, 'GraphProto'),
    floats: many(7, 'float'),
    ints: many(8, 'int64'),
    strings: many(9, 'bytes'),
    tensors: many(10, 'TensorProto'),
    graphs: many(11, 'GraphProto'),
    docString: one(13, 'string'),
    tp: one(14, 'TypeProto'),
    typeProtos: many(15, 'TypeProto'),
    type: one(20, 'AttributeType'),
    refAttrName: one(21, 'string'),
    sparseTensor: one(22, 'SparseTensorProto'),
    sparseTensors: many(23, 'SparseTensorProto'),
  },
  ValueInfoProto: {
    name: one(1, 'string'),
    type: one(2, 'TypeProto'),
    docString: one(3, 'string'),
    metadataProps: many(4, 'StringStringEntryProto'),
  },
  TypeProto: {
    tensorType: choice(1, 'TypeProtoTensor'),
    sequenceType: choice(4, 'TypeProtoSequence'),
    mapType: choice(5, 'TypeProtoMap'),
    denotation: one(6, 'string'),
    opaqueType: choice(7, 'TypeProtoOpaque'),
    sparseTensorType: choice(8, 'TypeProtoSparseTensor'),
    optionalType: choice(9, 'TypeProtoOptional'),
  },
  TypeProtoTensor: {
    elemType: one(1, 'int32'),
    shape: one(2, 'TensorShapeProto'),
  },
  TypeProtoSequence: {
    elemType: one(1, 'TypeProto'),
  },
  TypeProtoMap: {
    keyType: one(1, 'int32'),
    valueType: one(2, 'TypeProto'),
  },
  TypeProtoOptional: {
    elemType: one(1, 'TypeProto'),
  },
  TypeProtoSparseTensor: {
    elemType: one(1, 'int32'),
    shape: one(2, 'TensorShapeProto'),
  },
  TypeProtoOpaque: {
    domain: one(1, 'string'),
    name: one(2, 'string'),
  },
  TensorShapeProto: {
    dim: many(1, 'TensorShapeProtoDimension'),
  },
  TensorShapeProtoDimension: {
    dimValue: choice(1, 'int64'),
    dimParam: choice(2, 'string'),
    denotation: one(3, 'string'),
  },
  TensorProto: {
    dims: many(1, 'int64'),
    dataType: one(2, 'int32'),
    segment: one(3, 'TensorProtoSegment'),
    name: one(8, 'string'),
    docString: one(12, 'string'),
    externalData: many(13, 'StringStringEntryProto'),
    dataLocation: one(14, 'DataLocation'),
    metadataProps: many(16, 'StringStringEntryProto'),
  },
  TensorProtoSegment: {
    begin: one(1, 'int64'),
    end: one(2, 'int64'),
  },
  SparseTensorProto: {
    values: one(1, 'TensorProto'),
    indices: one(2, 'TensorProto'),
    dims: many(3, 'int64'),
  },
  FunctionProto: {
    name: one(1, 'string'),
    input: many(4, 'string'),
    output: many(5, 'string'),
    attribute: many(6, 'string'),
    node: many(7, 'NodeProto'),
    docString: one(8, 'string'),
    opsetImport: many(9, 'OperatorSetIdProto'),
    domain: one(10, 'string'),
    attributeProto: many(11, 'AttributeProto'),
    valueInfo: many(12, 'ValueInfoProto'),
    overload: one(13, 'string'),
    metadataProps: many(14, 'StringStringEntryProto'),
  },
  TrainingInfoProto: {
    initialization: one(1, 'GraphProto'),
    algorithm: one(2, 'GraphProto'),
    initializationBinding: many(3, 'StringStringEntryProto'),
    updateBinding: many(4, 'StringStringEntryProto'),
  },
  StringStringEntryProto: {
    key: one(1, 'string'),
    value: one(2, 'string'),
  },
  TensorAnnotation: {
    tensorName: one(1, 'string'),
    quantParameterTensorNames: many(2, 'StringStringEntryProto'),
  },
  DeviceConfigurationProto: {
    name: one(1, 'string'),
    numDevices: one(2, 'int32'),
    device: many(3, 'string'),
  },
  NodeDeviceConfigurationProto: {
    configurationId: one(1, 'string'),
    shardingSpec: many(2, 'ShardingSpecProto'),
    pipelineStage: one(3, 'int32'),
  },
  ShardingSpecProto: {
    tensorName: one(1, 'string'),
    device: many(2, 'int64'),
    indexToDeviceGroupMap: many(3, 'IntIntListEntryProto'),
    shardedDim: many(4, 'ShardedDimProto'),
  },
  ShardedDimProto: {
    axis: one(1, 'int64'),
    simpleSharding: many(2, 'SimpleShardedDimProto'),
  },
  SimpleShardedDimProto: {
    dimValue: choice(1, 'int64'),
    dimParam: choice(2, 'string'),
    numShards: one(3, 'int64'),
  },
  IntIntListEntryProto: {
    key: one(1, 'int64'),
    value: many(2, 'int64'),
  },
} as const satisfies Record<string, Record<string, Field>>;

/** Closed enums (proto2): a number above the last one is an unknown field. All begin at 0 without gaps. */
export const ENUMS = { AttributeType: 14, DataLocation: 1 } as const;

type Schema = typeof SCHEMA;
export type MessageName = keyof Schema;

/** 64-bit integers are bigints, bytes are byte arrays, floats are numbers. */
type Scalar<T> = T extends 'int64'
  ? bigint
  : T extends 'int32' | 'float' | keyof typeof ENUMS
    ? number
    : T extends 'string'
      ? string
      : T extends 'bytes'
        ? Uint8Array
        : T extends MessageName
          ? Message<T>
          : never;

/** A decoded message. Repeated fields are arrays, absent ones undefined. Never changed in place. */
export type Message<N extends MessageName> = {
  readonly [F in keyof Schema[N]]: Schema[N][F] extends Field<infer T, true>
    ? readonly Scalar<T>[]
    : Schema[N][F] extends Field<infer T, false>
      ? Scalar<T> | undefined
      : never;
} & {
  /** Fields that the schema does not know, as they stood in the file: tag and value. */
  readonly unknown: readonly Uint8Array[];
} & (N extends 'TensorProto' ? { readonly data: readonly DataSpan[] } : unknown);

export type ModelProto = Message<'ModelProto'>;
export type GraphProto = Message<'GraphProto'>;
export type NodeProto = Message<'NodeProto'>;
export type AttributeProto = Message<'AttributeProto'>;
export type ValueInfoProto = Message<'ValueInfoProto'>;
export type TypeProto = Message<'TypeProto'>;
export type TensorShapeProto = Message<'TensorShapeProto'>;
export type TensorProto = Message<'TensorProto'>;
export type SparseTensorProto = Message<'SparseTensorProto'>;
export type FunctionProto = Message<'FunctionProto'>;
export type TrainingInfoProto = Message<'TrainingInfoProto'>;
export type OperatorSetIdProto = Message<'OperatorSetIdProto'>;
export type StringStringEntryProto = Message<'StringStringEntryProto'>;

/** The one empty list of all messages. */
export const EMPTY: readonly never[] = Object.freeze([]);

const blanks = new Map<MessageName, Readonly<Record<string, unknown>>>();
/** All fields of a message, absent. */
export function blank(name: MessageName): Readonly<Record<string, unknown>> {
  let found = blanks.get(name);
  if (!found) {
    const fields: Record<string, unknown> = {};
    for (const [key, field] of Object.entries(SCHEMA[name])) fields[key] = field.many ? EMPTY : undefined;
    if (name === 'TensorProto') fields['data'] = EMPTY;
    fields['unknown'] = EMPTY;
    // Not frozen: V8 copies a frozen object property by property.
    found = fields;
    blanks.set(name, found);
  }
  return found;
}

/** A message with the given fields set and all others absent. */
export const create = <N extends MessageName>(name: N, fields: Partial<Message<N>> = {}): Message<N> =>
  ({ ...blank(name), ...fields }) as Message<N>; // blank() has exactly the fields that the type lists
