import { isDType } from '../core/dtype.js';
import type { OnnxValueInfo } from '../core/graph.js';
import type { Model } from '../core/model.js';
import { domainOf, functionId } from '../formats/onnx/check-node.js';
import { onnxTypeOf } from '../formats/onnx/dtypes.js';
import { create, type ValueInfoProto } from '../formats/onnx/schema.js';
import { protoOf } from '../formats/onnx/summary.js';
import { inferGraph } from './opset/infer.js';
import { sourcesOf } from './opset.js';

/** Types and shapes of values that somebody knows better than the graph: the runtime, or a run. */
export type KnownTypes = ReadonlyMap<string, OnnxValueInfo>;

/** How the edge of a graph describes a value of the main graph; undefined where its type is not known. */
export type TypeOf = (name: string) => ValueInfoProto | undefined;

/**
 * Types of the values of the main graph: as the graph declares them, else as `known` has them, else as the operators
 * tell (then often with no more than a rank). Sizes that a declaration leaves open are taken from `known`.
 */
export function valueTypes(model: Model, known: KnownTypes = new Map()): TypeOf {
  if (!model.graph) throw new Error('values of a model without a graph');
  const proto = protoOf(model.graph);
  const graph = proto.graph ?? create('GraphProto');
  const declared = new Map<string, ValueInfoProto>();
  for (const value of [...graph.valueInfo, ...graph.output, ...graph.input])
    if (value.type) declared.set(value.name ?? '', value);
  const functions = new Set(proto.functions.map((f) => functionId(f.domain, f.name, f.overload)));
  const sources = sourcesOf(model, proto);
  const scope = inferGraph(graph, undefined, {
    sources,
    isStandard: ({ domain, opType, overload }) =>
      domainOf(domain) === '' && !functions.has(functionId(domain, opType, overload)),
    overridable: (proto.irVersion ?? 0n) >= 4n,
    scopes: new Map(),
  });
  return (name) => {
    const given = declared.get(name);
    const better = known.get(name);
    if (given) return better ? filled(given, better) : given;
    if (better) return describe(better);
    const dtype = scope.type(name);
    if (dtype === undefined) return undefined;
    const shape = scope.shape(name)?.map((size) => size ?? null);
    return describe({ name, dtype, shape });
  };
}

/** undefined for what is no tensor of a type that ONNX has. */
function describe({ name, dtype, shape }: OnnxValueInfo): ValueInfoProto | undefined {
  const type = isDType(dtype) ? onnxTypeOf(dtype) : undefined;
  if (!type) return undefined;
  return create('ValueInfoProto', {
    name,
    type: create('TypeProto', {
      tensorType: create('TypeProtoTensor', {
        elemType: type.id,
        ...(shape ? { shape: create('TensorShapeProto', { dim: shape.map(dimension) }) } : {}),
      }),
    }),
  });
}

const dimension = (size: number | string | null) =>
  create('TensorShapeProtoDimension', {
    ...(typeof size === 'number' ? { dimValue: BigInt(size) } : {}),
    ...(typeof size === 'string' && size !== '' ? { dimParam: size } : {}),
  });

/** A declaration whose open sizes, or whole shape, somebody else knows. */
function filled(given: ValueInfoProto, { shape }: OnnxValueInfo): ValueInfoProto {
  const tensor = given.type?.tensorType;
  if (!given.type || !tensor || !shape) return given;
  const { dim } = tensor.shape ?? create('TensorShapeProto');
  if (tensor.shape && dim.length !== shape.length) return given;
  const sizes = shape.map((size, i) => {
    const own = dim[i];
    const open = own?.dimValue === undefined && !own?.dimParam;
    return open ? dimension(size) : own;
  });
  return {
    ...given,
    type: {
      ...given.type,
      tensorType: {
        ...tensor,
        shape: create('TensorShapeProto', { dim: sizes.filter((size) => size !== undefined) }),
      },
    },
  };
}
